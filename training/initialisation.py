"""First weights by `initialisation`: Xavier's or He's for linear and convolution layers, biases zero.

Applied by `training.train` before the loop, to everything or, where weights came from a checkpoint, to the
new head alone. Embeddings, norms and recurrent cells keep what their networks drew.

Xavier: X. Glorot, Y. Bengio 2010, uniform. He: K. He et al. 2015, arXiv:1502.01852, normal, fan-in, ReLU.
"""

from collections.abc import Collection, Iterator
from typing import Literal

from torch import Tensor, nn

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)


def initialise(
    network: nn.Module,
    scheme: Literal["default", "xavier", "he"],
    only: Collection[Tensor] | None = None,
) -> None:
    """Draw weights anew, in place, from torch's random state; of `only` these where it is given."""
    if scheme == "default":
        return
    wanted = None if only is None else {id(weight) for weight in only}
    tied = _embeddings(network)
    for weight, parts, bias in _layers(network):
        if id(weight) in tied or (wanted is not None and id(weight) not in wanted):
            continue
        for part in parts:
            if scheme == "xavier":
                nn.init.xavier_uniform_(part)
            else:
                nn.init.kaiming_normal_(part, nonlinearity="relu")
        if bias is not None:
            nn.init.zeros_(bias)


def _layers(network: nn.Module) -> Iterator[tuple[Tensor, tuple[Tensor, ...], Tensor | None]]:
    """(weight, the matrices or kernels it is made of, bias) of every layer that is drawn."""
    for layer in network.modules():
        if isinstance(layer, _LAYERS):
            yield layer.weight, (layer.weight,), layer.bias
        elif isinstance(layer, nn.MultiheadAttention) and layer.in_proj_weight is not None:
            # Attention stacks three layers in one matrix; each has a fan of its own.
            weight = layer.in_proj_weight
            yield weight, weight.data.chunk(3), layer.in_proj_bias


def _embeddings(network: nn.Module) -> set[int]:
    """A head that shares its matrix with an embedding is not drawn anew: it would be both."""
    return {id(part.weight) for part in network.modules() if isinstance(part, nn.Embedding)}
