"""A network without its zeroed channels: layers that are really smaller, answers that are the same."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.pruning.chains import find_chains


def shrunk(network: nn.Module) -> nn.Module:
    """A copy; layers whose channels are all alive stay as they are. Raises UsageError as `find_chains`."""
    smaller = copy.deepcopy(network)
    for chain in find_chains(smaller):
        producer = smaller.get_submodule(chain.producer)
        assert isinstance(producer, nn.Linear | nn.Conv2d)
        alive = _alive(producer, [smaller.get_submodule(name) for name in chain.norms])
        if bool(alive.all()):
            continue
        if not bool(alive.any()):
            alive[0] = True  # a layer needs a channel, even one of zeros
        kept = alive.nonzero().flatten()
        _keep_rows(producer, kept)
        for name in chain.norms:
            _keep_features(smaller.get_submodule(name), kept)
        for name, positions in chain.consumers:
            _keep_columns(smaller.get_submodule(name), kept, positions)
    return smaller


def weights_in(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _alive(producer: nn.Linear | nn.Conv2d, norms: Sequence[nn.Module]) -> Tensor:
    """bool [channels]: whether anything but zero comes out of a chain's channel."""
    if not norms:
        alive = producer.weight.detach().flatten(1).abs().amax(dim=1) > 0
        return alive if producer.bias is None else alive | (producer.bias.detach() != 0)
    # A norm makes something even of zeros, unless its own scale and shift are zero.
    alive = torch.zeros(len(producer.weight), dtype=torch.bool, device=producer.weight.device)
    for norm in norms:
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        alive |= (norm.weight.detach() != 0) | (norm.bias.detach() != 0)
    return alive


def _keep_rows(layer: nn.Linear | nn.Conv2d, kept: Tensor) -> None:
    layer.weight = _part(layer.weight, kept, 0)
    if layer.bias is not None:
        layer.bias = _part(layer.bias, kept, 0)
    if isinstance(layer, nn.Linear):
        layer.out_features = len(kept)
    else:
        layer.out_channels = len(kept)


def _keep_features(norm: nn.Module, kept: Tensor) -> None:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    norm.weight, norm.bias = _part(norm.weight, kept, 0), _part(norm.bias, kept, 0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]
    norm.num_features = len(kept)


def _keep_columns(layer: nn.Module, kept: Tensor, positions: int) -> None:
    """Each channel stands in `positions` columns next to each other."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    columns = (kept[:, None] * positions + torch.arange(positions, device=kept.device)).flatten()
    layer.weight = _part(layer.weight, columns, 1)
    if isinstance(layer, nn.Linear):
        layer.in_features = len(columns)
    else:
        layer.in_channels = len(columns)


def _part(weight: Tensor, kept: Tensor, axis: int) -> nn.Parameter:
    chosen = weight.detach().index_select(axis, kept).contiguous()
    return nn.Parameter(chosen, requires_grad=weight.requires_grad)
