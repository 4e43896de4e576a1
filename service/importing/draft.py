"""What a derived graph is for: the manifest's task, its preprocessing and its postprocessing.

A graph of numbers is always the task "tensor". For pictures and texts the file lacks what only its maker
knows (means, tokenizer, labels); it is given here, and compared with the graph.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.blocks import (
    ClassificationPostprocessing,
    ImagePreprocessing,
    Postprocessing,
    Preprocessing,
    TensorPostprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import Batching, ManifestDraft, TensorSpec
from service.importing.derive import Derived
from service.importing.errors import ImportRefused
from service.importing.trial import Trial

LABELS_FILE, TOKENIZER_FILE = "labels.txt", "tokenizer.json"

_DEFAULT_TOKENS = 512


@dataclass(frozen=True)
class ImportOptions:
    """What the file does not say. `size`: width and height in pixels, for graphs that take any."""

    name: str
    task: str = "tensor"
    labels: Path | None = None
    tokenizer: Path | None = None
    sample: Path | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1 / 255
    size: tuple[int, int] | None = None
    channel_order: str = "RGB"
    fit: str = "stretch"
    max_tokens: int = 0
    max_batch_size: int = 0
    description: str = ""


def make_draft(
    derived: Derived, trial: Trial, options: ImportOptions, labels: list[str]
) -> tuple[Derived, ManifestDraft]:
    """Also what the task has changed in `derived`. Raises ImportRefused when the graph is not one of the
    task; ValidationError for options that no manifest takes."""
    plan = _PLANS.get(options.task)
    if plan is None:
        raise ImportRefused(f"task {options.task!r} cannot be imported; known: {', '.join(_PLANS)}")
    derived, before, after = plan(derived, trial, options, labels)
    most = derived.max_batch_size
    if options.max_batch_size and not derived.allowed_batch_sizes and most > 1:
        most = options.max_batch_size
    draft = ManifestDraft(
        name=options.name,
        task=options.task,
        description=options.description,
        inputs=derived.inputs,
        outputs=derived.outputs,
        preprocessing=before,
        postprocessing=after,
        batching=Batching(max_batch_size=most, allowed_batch_sizes=derived.allowed_batch_sizes),
    )
    return derived, draft


Plan = Callable[
    [Derived, Trial, ImportOptions, list[str]], tuple[Derived, Preprocessing, Postprocessing]
]


def _tensor(derived: Derived, *_: object) -> tuple[Derived, Preprocessing, Postprocessing]:
    return derived, TensorPreprocessing(), TensorPostprocessing()


def _pictures(
    derived: Derived, trial: Trial, options: ImportOptions, labels: list[str]
) -> tuple[Derived, Preprocessing, Postprocessing]:
    if len(derived.inputs) != 1:
        raise ImportRefused("image-classification needs a graph with one input, the picture")
    [spec] = derived.inputs
    if spec.dtype is not DataType.FLOAT or len(spec.shape) != 4:
        raise ImportRefused(
            f"image-classification needs float32 pictures of [batch, channels, height, width]; input "
            f"{spec.name!r} is {spec.dtype} {list(spec.shape)}"
        )
    _require_rows(derived)
    channels, height, width = spec.shape[1:]
    wanted = 1 if options.channel_order == "L" else 3
    if isinstance(channels, int) and channels != wanted:
        hint = (
            "its channels come last, which is not supported"
            if width in (1, 3)
            else ("choose --channel-order L for one channel, RGB or BGR for three")
        )
        raise ImportRefused(f"input {spec.name!r} has {channels} channels, not {wanted}: {hint}")
    width, height = _size(spec, options)
    fixed = spec.model_copy(update={"shape": (spec.shape[0], wanted, height, width)})
    derived = replace(derived, inputs=(fixed,), golden=_exam_of(derived, trial, fixed))
    fields: dict[str, Any] = {"channel_order": options.channel_order, "fit": options.fit}
    before = ImagePreprocessing(
        input=spec.name, height=height, width=width, scale=options.scale, mean=options.mean,
        std=options.std, **fields,
    )  # fmt: skip
    return derived, before, _classes(derived, labels)


def _exam_of(derived: Derived, trial: Trial, spec: TensorSpec) -> Golden | None:
    """On pictures of the size that will be sent. Raises ImportRefused when the graph does not take it."""
    if derived.golden is None or derived.golden.inputs[spec.name].shape[1:] == spec.shape[1:]:
        return derived.golden
    rows = len(derived.golden.inputs[spec.name])
    random = np.random.default_rng(0)
    sides = [axis for axis in spec.shape[1:] if isinstance(axis, int)]
    inputs = {spec.name: random.standard_normal((rows, *sides)).astype(np.float32)}
    return Golden(inputs, trial.run(inputs, [output.name for output in derived.outputs]))


def _size(spec: TensorSpec, options: ImportOptions) -> tuple[int, int]:
    """Width and height, the graph's own where it has them."""
    height, width = spec.shape[2:]
    asked = options.size
    if isinstance(width, int) and isinstance(height, int):
        if asked not in (None, (width, height)):
            raise ImportRefused(f"the graph takes pictures of {width}x{height} and no others")
        return width, height
    if asked is None:
        raise ImportRefused("the graph takes pictures of any size: choose one with --size WxH")
    return asked


def _texts(
    derived: Derived, trial: Trial, options: ImportOptions, labels: list[str]
) -> tuple[Derived, Preprocessing, Postprocessing]:
    if options.tokenizer is None:
        raise ImportRefused("text-classification needs --tokenizer FILE, a tokenizer.json")
    names = {spec.name for spec in derived.inputs}
    mask = "attention_mask" if "attention_mask" in names else None
    ids = sorted(names - {"attention_mask"})
    if len(ids) != 1:
        raise ImportRefused(
            "text-classification needs a graph that takes token ids and perhaps attention_mask; this one "
            f"takes {', '.join(sorted(names))}"
        )
    for spec in derived.inputs:
        if spec.dtype is not DataType.INT64 or len(spec.shape) != 2:
            raise ImportRefused(f"input {spec.name!r} must be int64 [batch, tokens] for texts")
    _require_rows(derived)
    length = derived.inputs[0].shape[1]
    if isinstance(length, int):
        raise ImportRefused(
            f"the graph takes texts of exactly {length} tokens; export it with a free length"
        )
    if mask is not None and _is_paddable(derived, trial, mask):
        padded = tuple(
            spec.model_copy(update={"pad_axes": (str(spec.shape[1]),)}) for spec in derived.inputs
        )
        derived = replace(derived, inputs=padded)
    else:
        derived.notes.append(
            "texts of different length are not batched: padding changes the answers"
        )
    before = TextPreprocessing(
        tokenizer=TOKENIZER_FILE, max_tokens=options.max_tokens or _DEFAULT_TOKENS, ids_input=ids[0],
        mask_input=mask,
    )  # fmt: skip
    return derived, before, _classes(derived, labels)


def _is_paddable(derived: Derived, trial: Trial, mask: str) -> bool:
    """Tried: the same ids with two masked zeros behind them must give the same answers."""
    if derived.golden is None:
        return False
    inputs = dict(derived.golden.inputs)
    inputs[mask] = np.ones_like(inputs[mask])
    names = [spec.name for spec in derived.outputs]
    longer = {name: np.pad(array, ((0, 0), (0, 2))) for name, array in inputs.items()}
    try:
        short, long = trial.run(inputs, names), trial.run(longer, names)
    except ImportRefused:
        return False
    return all(
        short[name].shape == long[name].shape and np.allclose(short[name], long[name], 1e-3, 1e-4)
        for name in names
    )


def _classes(derived: Derived, labels: list[str]) -> ClassificationPostprocessing:
    """The first output of float scores, one for each label."""
    if not labels:
        raise ImportRefused("classification needs --labels FILE, one label a line in class order")
    scores = [s for s in derived.outputs if s.dtype is DataType.FLOAT and len(s.shape) == 2]
    fitting = [s for s in scores if s.shape[1] == len(labels) or not isinstance(s.shape[1], int)]
    if not fitting:
        shown = ", ".join(f"{s.name} {list(s.shape)}" for s in derived.outputs)
        raise ImportRefused(f"no output has a score for each of the {len(labels)} labels: {shown}")
    name = fitting[0].name
    return ClassificationPostprocessing(
        output=name, labels=LABELS_FILE, is_probability=_is_probability(derived, name)
    )


def _is_probability(derived: Derived, name: str) -> bool:
    """Rows of made-up inputs that all add up to 1 come from a softmax, not from chance."""
    if derived.golden is None:
        return False
    scores = derived.golden.outputs[name]
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1.0, atol=1e-3))


def _require_rows(derived: Derived) -> None:
    if any(spec.batch_axis is None for spec in (*derived.inputs, *derived.outputs)):
        raise ImportRefused(f"the graph cannot be asked row by row: {'; '.join(derived.notes)}")


_PLANS: dict[str, Plan] = {
    "tensor": _tensor,
    "image-classification": _pictures,
    "text-classification": _texts,
}
TASKS = tuple(_PLANS)
