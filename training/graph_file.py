"""ONNX graphs on disk, also those beyond the 2 GiB that one protobuf file can hold.

Larger graphs keep their weights in one file beside them, `<name>.data`, which a bundle lists like any
other and the service hands to the runtime as verified bytes. Smaller ones are one file.
"""

from pathlib import Path

import onnx
from onnx import ModelProto

# Protobuf's own limit is 2 GiB; what is not weights takes some of it.
ONE_FILE_BYTES = (2 << 30) - (64 << 20)


def weights_file(graph: Path) -> Path:
    return graph.with_name(f"{graph.name}.data")


def graph_bytes(graph: Path) -> int:
    """Of the graph and of what lies beside it."""
    beside = weights_file(graph)
    return graph.stat().st_size + (beside.stat().st_size if beside.is_file() else 0)


def load_graph(path: Path) -> ModelProto:
    """Whole, wherever its weights lie."""
    return onnx.load(path)


def save_graph(model: ModelProto, path: Path) -> None:
    """Replaces what was at `path`, and beside it."""
    remove_graph(path)
    size_bytes = sum(
        len(weight.raw_data) or weight.ByteSize() for weight in model.graph.initializer
    )
    if size_bytes < ONE_FILE_BYTES:
        onnx.save_model(model, path)
        return
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=weights_file(path).name,
        size_threshold=1024,
        convert_attribute=False,
    )


def remove_graph(path: Path) -> None:
    path.unlink(missing_ok=True)
    weights_file(path).unlink(missing_ok=True)


def move_graph(source: Path, target: Path) -> None:
    """`target` and what lies beside it are replaced."""
    # A graph names the file of its weights, so it is written anew.
    if weights_file(source).is_file():
        save_graph(load_graph(source), target)
        remove_graph(source)
    else:
        remove_graph(target)
        source.replace(target)
