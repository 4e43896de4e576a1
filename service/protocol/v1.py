"""TF Serving's and KServe's V1 protocol: rows (`instances`) or columns (`inputs`), and answers alike.

    {"instances": [item, …]}            → {"predictions": [answer, …]}
    {"inputs": values or {name: values}} → {"outputs": values or {name: values}}

Columns are for models of bare tensors; there an answer with one output is its value alone, with several an
object. Other kinds of work answer objects that say what they are. Strings are texts, not base64.
"""

from collections.abc import Mapping, Sequence

from models.errors import InputError, SlipwayError
from models.manifest import Manifest
from service.errors import BadRequest
from service.tasks.base import Answer, ServiceTask
from service.tasks.tensor import TensorTask


class NotOffered(SlipwayError):
    """The protocol has it, this server does not."""

    status = 501
    reason = "not_offered"


def has_columns(document: object, task: ServiceTask) -> bool:
    return isinstance(task, TensorTask) and isinstance(document, dict) and "inputs" in document


def with_rows(document: object, manifest: Manifest) -> dict[str, object]:
    """A document with columns → the same with `instances`. Raises BadRequest, InputError."""
    assert isinstance(document, dict)
    if "instances" in document:
        raise BadRequest('send "instances" or "inputs", not both')
    rest = {name: value for name, value in document.items() if name != "inputs"}
    return {**rest, "instances": _rows(_columns(document["inputs"], manifest), manifest)}


def predictions(answers: Sequence[Answer], task: ServiceTask) -> list[object]:
    """The answers in the order of the instances."""
    outputs = task.manifest.outputs
    if not isinstance(task, TensorTask) or len(outputs) > 1:
        return list(answers)
    return [answer[outputs[0].name] for answer in answers]


def outputs(answers: Sequence[Answer], manifest: Manifest) -> object:
    """The answers as columns."""
    columns: dict[str, object] = {}
    for spec in manifest.outputs:
        column = [answer[spec.name] for answer in answers]
        columns[spec.name] = column[0] if spec.batch_axis is None else column
    return columns if len(columns) > 1 else next(iter(columns.values()))


def _columns(value: object, manifest: Manifest) -> Mapping[str, object]:
    """By input name; a lone input needs none."""
    names = [spec.name for spec in manifest.inputs]
    if isinstance(value, Mapping):
        odd = [name for name in names if name not in value]
        odd += [str(name) for name in value if name not in names]
        if odd:
            raise InputError(f"inputs must have exactly {names}; see {odd[0][:64]!r}")
        return value
    if len(names) > 1:
        raise InputError(f"inputs must be an object with {names}")
    return {names[0]: value}


def _rows(columns: Mapping[str, object], manifest: Manifest) -> list[object]:
    axes = {spec.batch_axis for spec in (*manifest.inputs, *manifest.outputs)}
    if axes == {None}:
        return [dict(columns)]
    if axes != {0}:
        raise BadRequest(
            f"the batch of model {manifest.name!r} does not lie along the first axis of all its "
            'tensors; send "instances", or use the V2 protocol'
        )
    lists: list[list[object]] = []
    for name, column in columns.items():
        if not isinstance(column, list):
            raise InputError(f"input {name!r} must be a list, one value for each item")
        lists.append(column)
    lengths = {name: len(column) for name, column in zip(columns, lists, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InputError(f"inputs have different numbers of items: {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]
