"""Which channels can be taken out of a network: those that one layer makes and only layers with weights read.

A chain is a producer (convolution or linear layer), what stands behind it channel by channel (norm,
activation, pooling, flattening), and the consumers (again convolutions or linear layers). Without a channel
of the chain the producer has a row less and each consumer a column less, and nothing else changes. A layer
whose output is added to another's, as the last one of a residual block, is no producer: its channels are tied
to others'. So do H. Li et al. 2016 (arXiv:1608.08710), who prune inside of residual blocks alone.

Found by tracing (torch.fx): the network's `forward` must not decide by values.
"""

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from models.errors import UsageError

# What keeps a channel to itself and leaves a channel of zeros at zero.
_PASSING_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh, nn.Dropout, nn.Dropout2d,
    nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten,
)  # fmt: skip
_PASSING_FUNCTIONS: frozenset[Callable[..., Any]] = frozenset({
    functional.relu, functional.gelu, functional.silu, functional.leaky_relu, functional.max_pool2d,
    functional.avg_pool2d, functional.adaptive_avg_pool2d, functional.dropout, torch.relu, torch.tanh,
    torch.flatten,
})  # fmt: skip
_PASSING_METHODS = frozenset({"relu", "tanh", "contiguous"})
_OVER_POSITIONS = frozenset({"mean", "amax"})
_POSITIONS = ((2, 3), [2, 3], (-2, -1), [-2, -1])
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Chain:
    """Names of modules. Each consumer reads `positions` values of every channel: more than one where a map
    was flattened."""

    producer: str
    norms: tuple[str, ...]
    consumers: tuple[tuple[str, int], ...]


def find_chains(network: nn.Module) -> list[Chain]:
    """In the order of the network's forward. Raises UsageError for a network that cannot be traced."""
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # tracing runs the network's own code on stand-ins: any kind
        raise UsageError(
            f"pruning.kind=structured: {type(network).__name__} decides by values while it computes, so its "
            "channels cannot be followed; take pruning.kind=unstructured"
        ) from error
    modules = dict(network.named_modules())
    uses = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    found = []
    for node in graph.nodes:
        if node.op != "call_module" or uses[str(node.target)] > 1:
            continue
        if _has_own_channels(modules[str(node.target)]):
            chain = _Follower(modules, uses, str(node.target)).follow(node)
            if chain is not None:
                found.append(chain)
    return found


def _has_own_channels(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def width_of(module: nn.Module) -> int:
    """Channels that a layer makes."""
    assert isinstance(module, nn.Linear | nn.Conv2d)
    return module.out_features if isinstance(module, nn.Linear) else module.out_channels


class _Follower:
    """Walks from a producer to every consumer; None as soon as a channel meets another."""

    def __init__(self, modules: dict[str, nn.Module], uses: Counter[str], producer: str) -> None:
        self._modules, self._uses, self._producer = modules, uses, producer
        self._norms: list[str] = []
        self._consumers: list[tuple[str, int]] = []

    def follow(self, node: fx.Node) -> Chain | None:
        waiting = [node]
        while waiting:
            current = waiting.pop()
            if not current.users:
                return None
            for user in current.users:
                if self._is_consumer(user, current):
                    continue
                if not self._passes(user):
                    return None
                waiting.append(user)
        return Chain(self._producer, tuple(self._norms), tuple(self._consumers))

    def _is_consumer(self, node: fx.Node, given: fx.Node) -> bool:
        if node.op != "call_module" or node.args[:1] != (given,):
            return False
        name = str(node.target)
        module = self._modules[name]
        if not _has_own_channels(module) or self._uses[name] > 1:
            return False
        assert isinstance(module, nn.Linear | nn.Conv2d)
        width = width_of(self._modules[self._producer])
        read = module.in_features if isinstance(module, nn.Linear) else module.in_channels
        if read % width:
            return False
        self._consumers.append((name, read // width))
        return True

    def _passes(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            name = str(node.target)
            module = self._modules[name]
            if isinstance(module, _NORMS) and self._uses[name] == 1 and module.affine:
                self._norms.append(name)
                return True
            return isinstance(module, _PASSING_MODULES)
        if node.op == "call_function":
            return node.target in _PASSING_FUNCTIONS and node.target is not operator.add
        if node.op == "call_method":
            if node.target in _OVER_POSITIONS:
                return (node.kwargs.get("dim") or (node.args[1:2] and node.args[1])) in _POSITIONS
            if node.target == "flatten":
                return node.args[1:] == (1,)
            return node.target in _PASSING_METHODS
        return False
