"""Stage 3, export: the trained network becomes an ONNX graph with named dynamic axes.

Uses torch's dynamo exporter. It does not promise that the graph computes the same: that is *verify*'s
business. It does check, with ONNX Runtime, that the graph loads and that names, types and axes are the
ones the manifest will state, because the exporter can silently fix an axis to the example's size.
"""

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from models.datatypes import BY_ONNX
from models.manifest import TensorSpec
from training.errors import ExportFailed
from training.graph_file import save_graph
from training.predict import open_session
from training.work import Arrays, ExportPlan

_EXAMPLE_BATCH = 2  # an example of one item lets the exporter take the batch axis for a constant


def example_size(plan: ExportPlan) -> tuple[int, int | None]:
    """Batch size and length of the inputs that `export` wants as its example."""
    return _EXAMPLE_BATCH, max(plan.lengths) if plan.lengths else None


def export(plan: ExportPlan, example: Arrays, target: Path) -> None:
    """Write `target`. Raises ExportFailed with the exporter's own reason."""
    module = plan.module.cpu().eval()
    tensors = tuple(torch.from_numpy(example[spec.name]) for spec in plan.inputs)
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                module,
                tensors,
                dynamo=True,
                input_names=[spec.name for spec in plan.inputs],
                output_names=[spec.name for spec in plan.outputs],
                dynamic_shapes=_as_arguments(module, dynamic_shapes(plan)),
                custom_translation_table=(
                    dict(plan.custom_translations) if plan.custom_translations else None
                ),
                verbose=False,
            )
    except Exception as error:  # torch raises a dozen kinds; the run ends with one line
        raise ExportFailed(f"torch cannot export the network: {_first_line(error)}") from error
    assert program is not None  # None only when a file name is given
    _free_output_names(program.model.graph)
    _write(program.model_proto, target)
    if plan.finish is not None:
        plan.finish(target)
    check_contract(target, plan)


def dynamic_shapes(plan: ExportPlan) -> tuple[dict[int, Any], ...]:
    """Per input: axis index → the named dimension; one name is one dimension everywhere."""
    names = {axis for spec in plan.inputs for axis in spec.shape if isinstance(axis, str)}
    dims = {
        name: torch.export.Dim(name, min=limits[0], max=limits[1])
        if (limits := plan.axis_limits.get(name))
        else torch.export.Dim(name, min=1)
        for name in sorted(names)
    }
    return tuple(
        {index: dims[axis] for index, axis in enumerate(spec.shape) if isinstance(axis, str)}
        for spec in plan.inputs
    )


def _as_arguments(module: torch.nn.Module, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The exporter wants the shapes of `*args` as one nested tuple."""
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return shapes
    single = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:single], shapes[single:])


def check_contract(graph: Path, plan: ExportPlan) -> None:
    """Raises ExportFailed unless ONNX Runtime sees exactly the inputs and outputs of the plan."""
    session = open_session(graph)
    for side, specs, found in (
        ("input", plan.inputs, session.get_inputs()),
        ("output", plan.outputs, session.get_outputs()),
    ):
        wanted = [_signature(spec) for spec in specs]
        given = [
            (value.name, value.type, tuple(_free(axis) for axis in value.shape)) for value in found
        ]
        if wanted != given:
            raise ExportFailed(
                f"the exported graph has other {side}s than planned: {given} instead of {wanted}"
            )


def _signature(spec: TensorSpec) -> tuple[str, str, tuple[int | str, ...]]:
    shape = tuple(_free(axis) for axis in spec.shape)
    return spec.name, BY_ONNX[spec.dtype.value].ort, shape


def _free(axis: int | str | None) -> int | str:
    """Names of output axes are the exporter's choice; what counts is that they are free."""
    return axis if isinstance(axis, int) else "free"


def _free_output_names(graph: Any) -> None:
    """The exporter names inner values after torch's operators, `embedding` for one, also where an output
    has that name: two values of one name are no valid graph."""
    outputs = {value.name: value for value in graph.outputs}
    for number, node in enumerate(graph):
        for value in node.outputs:
            if value.name in outputs and value is not outputs[value.name]:
                value.name = f"{value.name}.{number}"


def _write(model: onnx.ModelProto, target: Path) -> None:
    """Without the exporter's notes: they hold stack traces with this machine's paths."""
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        for value in [*graph.value_info, *getattr(graph, "input", ())]:
            if isinstance(value, onnx.ValueInfoProto):
                del value.metadata_props[:]
    for value in model.graph.output:
        del value.metadata_props[:]
    save_graph(model, target)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter prints its steps and warns about packages it does not need here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"
