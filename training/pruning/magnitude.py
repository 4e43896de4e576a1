"""Which weights and channels matter least: masks, True where something stays."""

import torch
from torch import Tensor, nn

from models.errors import UsageError
from training.pruning.chains import Chain, find_chains, width_of

Masks = dict[str, Tensor]
"""Name of a parameter → bool, of its shape or broadcast to it."""

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def structured_masks(network: nn.Module, amount: float) -> Masks:
    """Of every chain's channels the part `amount` that adds least; at least one stays.

    What a channel adds: the length of its row of weights, times what the norm behind it multiplies by. Raises
    UsageError where no channel can be taken out.
    """
    chains = find_chains(network)
    if not chains:
        raise UsageError(
            f"pruning.kind=structured: no layer of {type(network).__name__} has channels that can be taken "
            "out alone; take pruning.kind=unstructured"
        )
    masks: Masks = {}
    for chain in chains:
        masks |= _channel_masks(network, chain, amount)
    return masks


def _channel_masks(network: nn.Module, chain: Chain, amount: float) -> Masks:
    producer = network.get_submodule(chain.producer)
    assert isinstance(producer, nn.Linear | nn.Conv2d)
    width = width_of(producer)
    score = producer.weight.detach().flatten(1).norm(dim=1)
    for name in chain.norms:
        norm = network.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        assert norm.running_var is not None
        score = score * norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()
    removed = min(int(width * amount), width - 1)
    stays = torch.ones(width, dtype=torch.bool, device=score.device)
    stays[score.argsort()[:removed]] = False
    masks = {f"{chain.producer}.weight": stays.reshape(-1, *[1] * (producer.weight.ndim - 1))}
    if producer.bias is not None:
        masks[f"{chain.producer}.bias"] = stays
    # A norm's shift would let a channel of zeros speak.
    for name in chain.norms:
        masks |= {f"{name}.weight": stays, f"{name}.bias": stays}
    return masks


def unstructured_masks(network: nn.Module, amount: float) -> Masks:
    """The part `amount` of all weights of linear and convolution layers together, the smallest first (S. Han
    et al. 2015, arXiv:1506.02626). Biases, norms and embeddings are left alone."""
    tied = {id(part.weight) for part in network.modules() if isinstance(part, nn.Embedding)}
    weights = {
        f"{name}.weight" if name else "weight": module.weight.detach()
        for name, module in network.named_modules()
        if isinstance(module, _WEIGHTED) and id(module.weight) not in tied
    }
    if not weights:
        raise UsageError(
            f"pruning.kind=unstructured: {type(network).__name__} has no linear or convolution layer"
        )
    sizes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    removed = int(len(sizes) * amount)
    if not removed:
        return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    limit = sizes.kthvalue(removed).values
    return {name: weight.abs() > limit for name, weight in weights.items()}


@torch.no_grad()
def apply(masks: Masks, network: nn.Module) -> None:
    """Set to zero what does not stay, in place."""
    parameters = dict(network.named_parameters())
    for name, stays in masks.items():
        parameters[name].mul_(stays.to(parameters[name].device))
