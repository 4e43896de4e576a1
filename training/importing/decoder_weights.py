"""A decoder's weights, read from safetensors one tensor at a time into a network of ours.

Memory: the network in float32, and beside it one tensor of the file, whatever the size or the number of
shards. bfloat16 and float16 become float32 on the way, exactly.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from training.checkpoints import read_json
from training.errors import DataError
from training.importing.decoders import ImportedConfig, Layout
from training.networks.decoder import Block, Decoder, GatedFeedForward

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


class Shards:
    """Tensors of a checkpoint by name. Raises DataError for files that are missing or damaged."""

    def __init__(self, folder: Path, optional_prefix: str = "") -> None:
        self._folder = folder
        self._prefix = optional_prefix
        index = read_json(folder / _INDEX).get("weight_map")
        files = sorted(set(index.values())) if isinstance(index, dict) else [_SINGLE]
        self._open: dict[str, Any] = {}
        for file in files:
            if not isinstance(file, str) or Path(file).name != file:
                raise DataError(f"{folder / _INDEX}: {file!r} is not a file of the checkpoint")
            try:
                shard: Any = safe_open(folder / file, framework="pt")
                self._open |= dict.fromkeys(shard.keys(), shard)
            except Exception as error:  # the library raises several kinds; the person gets one line
                raise DataError(f"{folder / file}: cannot be read ({error})") from error

    def __contains__(self, name: str) -> bool:
        return self._known(name) is not None

    def read(self, name: str) -> Tensor:
        known = self._known(name)
        if known is None:
            raise DataError(f"{self._folder}: its weights lack {name}")
        tensor: Tensor = self._open[known].get_tensor(known)
        return tensor

    def _known(self, name: str) -> str | None:
        return next((n for n in (name, name.removeprefix(self._prefix)) if n in self._open), None)


def load_decoder(folder: Path, config: ImportedConfig, layout: Layout) -> Decoder:
    """Raises DataError naming the weight that is missing or of another shape."""
    shards = Shards(folder, layout.optional_prefix)
    vocabulary = len(shards.read(f"{layout.embedding}.weight"))
    decoder = Decoder(config, vocabulary).eval()
    with torch.no_grad():
        for target, names, is_matrix in _places(decoder, layout):
            _fill(target, shards, names, is_transposed=layout.is_transposed and is_matrix)
        if decoder.positions is not None:
            learned = shards.read(f"{layout.positions}.weight")  # the context may be a part of it
            decoder.positions.weight.copy_(learned[: config.context])
        if layout.norm_offset:
            for part in decoder.modules():
                if isinstance(part, nn.RMSNorm):
                    part.weight.add_(layout.norm_offset)
    return decoder


def _places(decoder: Decoder, layout: Layout) -> Iterator[tuple[Tensor, Sequence[str], bool]]:
    """Our weight, their names, and whether it is a matrix of a layer."""
    yield decoder.embedding.weight, (f"{layout.embedding}.weight",), False
    for number, block in enumerate(decoder.blocks):
        assert isinstance(block, Block)
        inside = layout.layer.format(number)
        fed = block.feed_forward
        up = fed.gate_up if isinstance(fed, GatedFeedForward) else fed.up
        for part, theirs in (
            (block.attention.qkv, layout.qkv),
            (block.attention.out, (layout.out,)),
            (up, layout.up),
            (fed.down, (layout.down,)),
            *((block.get_submodule(ours), (name,)) for ours, name in layout.norms.items()),
        ):
            yield from _of(part, [inside + name for name in theirs])
    yield from _of(decoder.norm, [layout.norm])
    if decoder.head.weight is not decoder.embedding.weight:
        yield from _of(decoder.head, [layout.head])


def _of(part: Any, names: Sequence[str]) -> Iterator[tuple[Tensor, Sequence[str], bool]]:
    is_matrix = isinstance(part, nn.Linear)
    yield part.weight, [f"{name}.weight" for name in names], is_matrix
    if getattr(part, "bias", None) is not None:
        yield part.bias, [f"{name}.bias" for name in names], False


def _fill(target: Tensor, shards: Shards, names: Sequence[str], *, is_transposed: bool) -> None:
    """Put the tensors of these names on top of each other into `target`."""
    start = 0
    for name in names:
        tensor = shards.read(name)
        tensor = tensor.T if is_transposed else tensor
        place = target[start : start + len(tensor)] if tensor.ndim else target
        if place.shape != tensor.shape:
            raise DataError(
                f"{name} is {list(tensor.shape)}, which does not fit into {list(target.shape)}: "
                "config.json and weights are of different models"
            )
        place.copy_(tensor)
        start += len(tensor)
    if start != len(target):
        raise DataError(
            f"{', '.join(names)}: {start} rows instead of {len(target)}: config.json and weights are "
            "of different models"
        )
