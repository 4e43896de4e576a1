"""What a trial asks: the person's own inputs, or ones that this very model answers, as HTTP requests.

Without inputs: texts of made-up words, as mixed in length as callers' are; for models of plain tensors the
rows of the golden exam; for all others their example. Each is preprocessed here once, which tells a wrong
input before a server is started, and how long the items are.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson

from models.bundle import Bundle
from models.datatypes import BY_ONNX
from models.errors import InputError, UsageError
from models.golden import Golden
from models.manifest import GOLDEN_FILE, Manifest
from service.ask.question import read_question
from service.ask.remote import body_of, query_of
from service.bench.asking import made_up_text
from service.bench.target import Target
from service.protocol.binary import to_bytes
from service.tasks import plugin
from service.tasks.base import BatchTask, Item, ServiceTask
from service.tasks.examples import golden_item, made_up_item
from service.tasks.text import TextOptions, TextTask

_WORDS = (4, 120)
_TEXTS = 64
_MOST_ROWS = 64
_HEADER = "inference-header-content-length"


@dataclass(frozen=True)
class Question:
    """One request without its target. `path` begins with a slash."""

    path: str
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Questions:
    """Asked in turn, again and again. `lengths`: of each question's longest item along the axes that the
    batcher may pad; empty where items do not differ."""

    asked: tuple[Question, ...]
    about: str
    lengths: tuple[int, ...] = ()

    def messages(self, target: Target) -> Iterator[bytes]:
        """Whole HTTP requests, endless."""
        each = [
            target.post(one.path, one.body, one.content_type, one.headers) for one in self.asked
        ]
        return itertools.cycle(each)


def questions_of(bundle: Bundle, inputs: Sequence[str]) -> Questions:
    """Raises UsageError for an input that cannot be read or that the model does not take."""
    task = plugin(bundle.manifest.task)(bundle)
    assert isinstance(task, BatchTask)
    try:
        if inputs:
            return _given(task, inputs)
        if isinstance(task, TextTask):
            return _texts(task)
        return _rows(bundle) if bundle.manifest.task == "tensor" else _example(task)
    except InputError as error:
        remedy = "" if inputs else "; give inputs with --input"
        raise UsageError(f"{bundle.name} does not take this: {error.message}{remedy}") from error


def _given(task: BatchTask, inputs: Sequence[str]) -> Questions:
    read = [read_question(typed, type(task), {}) for typed in inputs]
    items: list[Item] = []
    for one in read:
        instances = (
            [task.read_json(part) for part in task.split(one.value)]
            if one.data is None
            else [task.read_bytes(one.data)]
        )
        for instance in instances:
            items += task.preprocess(instance, task.parse_options({})).items
    asked = [Question(f"{_path(task)}{query_of(one)}", *body_of(one, type(task))) for one in read]
    about = f"{len(asked)} given input{'s' if len(asked) > 1 else ''}"
    return Questions(tuple(asked), about, item_lengths(task.manifest, items))


def _example(task: BatchTask) -> Questions:
    example = task.example()
    lengths = _lengths(task, [example], {})
    body = orjson.dumps({task.field: example})
    return Questions((_typed(task, body),), "the model's own example", lengths)


def _texts(task: TextTask[TextOptions]) -> Questions:
    """Evenly spread over the lengths, in random order, the same for every run."""
    dice = random.Random(0)
    shortest, longest = _WORDS
    counts = [round(shortest + (longest - shortest) * at / (_TEXTS - 1)) for at in range(_TEXTS)]
    dice.shuffle(counts)
    texts = [made_up_text(dice, count) for count in counts]
    options = {"truncate": True}  # models of short texts take what they can
    lengths = _lengths(task, texts, options)
    asked = [_typed(task, orjson.dumps({task.field: text, **options})) for text in texts]
    return Questions(tuple(asked), f"{_TEXTS} made-up texts of {shortest}–{longest} words", lengths)


def _rows(bundle: Bundle) -> Questions:
    """Tensors in V2's binary form: as JSON, reading a picture's numbers would take longer than the run."""
    manifest = bundle.manifest
    items = golden_rows(bundle)
    about = f"{len(items)} row{'s' if len(items) > 1 else ''} of the golden exam"
    if not items:
        items, about = [made_up_item(manifest.inputs)], "zeros, for want of a golden exam"
    path = f"/v2/models/{manifest.name}/infer"
    asked = [_binary(path, manifest, item) for item in items]
    return Questions(tuple(asked), about, item_lengths(manifest, items))


def golden_rows(bundle: Bundle) -> list[Item]:
    """The exam's inputs one by one, without batch axis; empty when there is none that fits."""
    specs = {spec.name: spec for spec in bundle.manifest.inputs}
    if golden_item(bundle).keys() != specs.keys():
        return []
    inputs = Golden.from_bytes(bundle.read(GOLDEN_FILE)).inputs
    axes = {name: specs[name].batch_axis for name in inputs}
    sizes = {inputs[name].shape[axis] for name, axis in axes.items() if axis is not None}
    rows = min(*sizes, _MOST_ROWS) if len(sizes) == 1 else 1
    return [
        {name: np.take(array, row, axis=axes[name] or 0) for name, array in inputs.items()}
        for row in range(rows)
    ]


def item_lengths(manifest: Manifest, items: Sequence[Item]) -> tuple[int, ...]:
    """Of each item along the first axis that may be padded, of the first input that has one."""
    for spec in manifest.inputs:
        for axis in spec.pad_axes:
            place = spec.shape.index(axis)
            if spec.batch_axis is not None and place > spec.batch_axis:
                place -= 1
            return tuple(int(item[spec.name].shape[place]) for item in items if spec.name in item)
    return ()


def _lengths(
    task: BatchTask, values: Sequence[object], options: Mapping[str, object]
) -> tuple[int, ...]:
    parsed = task.parse_options(options)
    prepared = [task.preprocess(task.read_json(value), parsed) for value in values]
    return item_lengths(task.manifest, [item for each in prepared for item in each.items])


def _typed(task: ServiceTask, body: bytes) -> Question:
    return Question(_path(task), body, "application/json")


def _path(task: ServiceTask) -> str:
    return f"/v1/models/{task.manifest.name}/predict"


def _binary(path: str, manifest: Manifest, item: Item) -> Question:
    tensors, parts = [], []
    for spec in manifest.inputs:
        array = item[spec.name]
        if spec.batch_axis is not None:
            array = np.expand_dims(array, spec.batch_axis)
        data = bytes(to_bytes(array))
        tensors.append(
            {
                "name": spec.name,
                "shape": list(array.shape),
                "datatype": BY_ONNX[spec.dtype].v2,
                "parameters": {"binary_data_size": len(data)},
            }
        )
        parts.append(data)
    outputs = [{"name": s.name, "parameters": {"binary_data": True}} for s in manifest.outputs]
    header = orjson.dumps({"inputs": tensors, "outputs": outputs})
    headers = {_HEADER: str(len(header))}
    return Question(path, header + b"".join(parts), "application/octet-stream", headers)
