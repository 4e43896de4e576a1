"""From a graph to the tensors of a manifest: names, types, shapes, and which axis is the batch.

A file can say that an axis is free; it cannot say that rows along it do not influence each other. That is
tried: rows are changed and taken alone, and a graph whose other rows answer differently is never batched.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.datatypes import DataType
from models.golden import Golden
from models.manifest import Axis, TensorSpec
from service.importing.errors import ImportRefused
from service.importing.graph import Facts, Value
from service.importing.trial import Arrays, Trial, changed

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_DYNAMIC_BATCH = 32
_CLOSE = {"rtol": 1e-3, "atol": 1e-4}


@dataclass
class Derived:
    """`notes`: what could not be known, for people. `golden` None: its answers differ from run to run."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()
    golden: Golden | None = None
    notes: list[str] = field(default_factory=list)


def check(facts: Facts) -> None:
    """What no trial is needed for. Raises ImportRefused."""
    if facts.is_training:
        raise ImportRefused("it is a training graph; export the model for inference")
    known = _DOMAINS | facts.own_domains
    for domain, operators in sorted(facts.operators.items()):
        if domain not in known:
            some = ", ".join(sorted(operators)[:3])
            raise ImportRefused(
                f"it uses operators of the domain {domain[:64]!r} ({some}), which need a library of their "
                "own; only ONNX's operators and those of ONNX Runtime (com.microsoft) are served"
            )
    if not _fed(facts):
        raise ImportRefused("the graph takes no input")
    if not facts.outputs:
        raise ImportRefused("the graph has no output")
    for value in _fed(facts):
        _check_input(value)
    _served_outputs(facts, [])


def derive(facts: Facts, trial: Trial, sample: Arrays | None = None) -> Derived:
    """`check` has passed. `sample`: values with their batch axis that the graph takes.

    Raises ImportRefused.
    """
    notes: list[str] = []
    values = [_named(value) for value in _fed(facts)]
    outputs = _served_outputs(facts, notes)
    batch = _batch_axis(values, notes)
    free = batch if isinstance(batch, str) else None
    inputs = sample or trial.find_inputs(values, free, outputs)
    _check_sample(values, inputs)
    answers = trial.run(inputs, outputs)
    is_stable = _all_close(answers, trial.run(inputs, outputs))
    if not is_stable:
        notes.append("its answers differ from run to run: no golden exam, and never batched")
    rows = batch if isinstance(batch, int) else len(inputs[values[0].name]) if batch else 0
    is_batched = (
        bool(rows) and is_stable and _rows_are_apart(trial, inputs, answers, free, rows, notes)
    )
    axis = 0 if is_batched else None
    specs = tuple(_input_spec(value, axis) for value in values)
    derived = Derived(
        specs,
        tuple(_output_spec(trial, name, answers[name], free, axis) for name in outputs),
        golden=Golden(inputs, answers) if is_stable else None,
        notes=notes,
    )
    if is_batched:
        derived.max_batch_size = _DYNAMIC_BATCH if free else rows
        derived.allowed_batch_sizes = () if free else (rows,)
    return derived


def _fed(facts: Facts) -> list[Value]:
    """Inputs that callers must give: old files list their weights among them, newer ones defaults."""
    stored = {tensor.name for tensor in facts.initializers}
    return [value for value in facts.inputs if value.name not in stored]


def _check_input(value: Value) -> None:
    name = value.name[:64]
    if value.kind != "tensor":
        raise ImportRefused(f"input {name!r} is a {value.kind}; only tensors are served")
    if value.dtype is None:
        raise ImportRefused(
            f"input {name!r} has an element type (number {value.element}) that is not served"
        )
    if value.dtype is DataType.BFLOAT16:
        raise ImportRefused(f"input {name!r} is bfloat16, for which no values can be made up")
    if value.shape is None:
        raise ImportRefused(
            f"input {name!r} has no shape, not even its number of axes is known; save the model with shapes"
        )
    if 0 in value.shape:
        raise ImportRefused(f"input {name!r} has an axis of size 0: there is nothing to send")


def _served_outputs(facts: Facts, notes: list[str]) -> list[str]:
    served = [v.name for v in facts.outputs if v.kind in ("tensor", "value without a type")]
    left_out = [f"{v.name} ({v.kind})" for v in facts.outputs if v.name not in served]
    if not served:
        raise ImportRefused(
            f"none of its outputs is a tensor: {', '.join(left_out)}; converters have an option for plain "
            "tensors (skl2onnx: zipmap=False)"
        )
    if left_out:
        notes.append(f"left out, because only tensors are served: {', '.join(left_out)}")
    return served


def _named(value: Value) -> Value:
    """Free axes get a name that a manifest takes; axes without a name get one of their own."""
    shape = [
        axis if isinstance(axis, int) else _axis_name(axis, f"{value.name}_{position}")
        for position, axis in enumerate(value.shape or ())
    ]
    return Value(value.name, value.kind, value.element, tuple(shape))


def _axis_name(given: str | None, fallback: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_]+", "_", given or fallback)
    text = text if _NAME.match(text) else f"axis_{text}"
    return text[:64]


def _batch_axis(values: Sequence[Value], notes: list[str]) -> int | str | None:
    """What axis 0 of all inputs may be: a name, a size, or nothing that they share."""
    first = {value.shape[0] if value.shape else None for value in values}
    if len(first) == 1 and None not in first:
        return first.pop()
    shown = ", ".join(f"{v.name}{list(v.shape or ())}" for v in values)
    notes.append(f"no batch axis: the inputs' first axes differ ({shown})")
    return None


def _check_sample(values: Sequence[Value], inputs: Arrays) -> None:
    names = {value.name for value in values}
    if names != set(inputs):
        raise ImportRefused(
            f"the sample must hold exactly these arrays: {', '.join(sorted(names))}"
        )


def _rows_are_apart(
    trial: Trial, inputs: Arrays, answers: Arrays, free: str | None, rows: int, notes: list[str]
) -> bool:
    """Do outputs follow the rows, and does no row change another's answer?"""
    names = list(answers)
    if any(a.ndim == 0 or len(a) != rows for a in answers.values()):
        notes.append("no batch axis: not every output has a row for each row of the inputs")
        return False
    if rows == 1:
        return True
    others = _with_another_last_row(trial, inputs, names)
    kept = {name: array[: rows - 1] for name, array in answers.items()}
    if not _all_close(kept, {name: array[: rows - 1] for name, array in others.items()}):
        notes.append("never batched: a row's answer depends on the other rows")
        return False
    if free is None:
        return True
    try:
        alone = trial.run({name: array[:1] for name, array in inputs.items()}, names)
    except ImportRefused as error:
        notes.append(f"never batched: one row alone does not run ({error.message})")
        return False
    if any(len(array) != 1 for array in alone.values()):
        notes.append("no batch axis: the outputs' first axis does not follow the inputs'")
        return False
    if not _all_close({name: array[:1] for name, array in answers.items()}, alone):
        notes.append("never batched: a row alone is answered differently than among others")
        return False
    return True


def _with_another_last_row(trial: Trial, inputs: Arrays, names: list[str]) -> Arrays:
    try:
        return trial.run({name: changed(array, -1) for name, array in inputs.items()}, names)
    except ImportRefused:  # values of our own are not taken; those of another row are
        copied = {name: np.concatenate([a[:-1], a[:1]]) for name, a in inputs.items()}
        return trial.run(copied, names)


def _all_close(left: Arrays, right: Arrays) -> bool:
    return all(_close(left[name], right[name]) for name in left)


def _close(left: np.ndarray, right: np.ndarray) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return bool(np.allclose(left, right, equal_nan=True, **_CLOSE))
    return bool(np.array_equal(left, right))


def _input_spec(value: Value, batch_axis: int | None) -> TensorSpec:
    assert value.dtype is not None
    shape = tuple(axis for axis in value.shape or () if axis is not None)
    return TensorSpec(name=value.name, dtype=value.dtype, shape=shape, batch_axis=batch_axis)


def _output_spec(
    trial: Trial, name: str, answer: np.ndarray, free: str | None, axis: int | None
) -> TensorSpec:
    """Sizes that the runtime infers, names where it says that an axis is free or cannot say anything."""
    dtype, declared = trial.declared(name)
    if len(declared) != answer.ndim:
        declared = [None] * answer.ndim
    shape: list[Axis] = []
    for position, said in enumerate(declared):
        if position == 0 and axis == 0 and free is not None:
            shape.append(free)
        elif isinstance(said, int) and said > 0:
            shape.append(said)
        else:
            shape.append(_axis_name(said if isinstance(said, str) else None, f"{name}_{position}"))
    return TensorSpec(name=name, dtype=dtype, shape=tuple(shape), batch_axis=axis)
