"""Rows that a graph is to read: from a file that somebody gives, or from a work; checked first."""

import io
from pathlib import Path

import numpy as np

from models.datatypes import BY_ONNX
from models.manifest import TensorSpec
from training.errors import DataError
from training.work import Arrays


def read_rows(path: Path, specs: tuple[TensorSpec, ...]) -> Arrays:
    """`--calibration FILE.npz`: an array for every graph input. Raises DataError for wrong names, types,
    shapes."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib, numpy, the file system: the asker is told one
        raise DataError(
            f"--calibration {path}: not a readable .npz file; write one with numpy.savez(path, "
            f"{', '.join(f'{spec.name}=…' for spec in specs)})"
        ) from error
    require_rows(f"--calibration {path}", arrays, specs)
    return {spec.name: arrays[spec.name] for spec in specs}


def require_rows(where: str, arrays: Arrays, specs: tuple[TensorSpec, ...]) -> None:
    """Raises DataError unless `arrays` are rows of what `specs` describe."""
    missing = [spec.name for spec in specs if spec.name not in arrays]
    if missing:
        raise DataError(
            f"{where}: holds {', '.join(arrays) or 'nothing'}; the graph also reads {missing[0]!r}"
        )
    for spec in specs:
        array, wanted = arrays[spec.name], BY_ONNX[spec.dtype.value].numpy
        shape = f"[{', '.join(map(str, spec.shape))}]"
        if array.dtype != wanted:
            raise DataError(f"{where}: {spec.name!r} is {array.dtype}, the graph reads {wanted}")
        if not _fits(array.shape, spec):
            found = f"[{', '.join(map(str, array.shape))}]"
            raise DataError(f"{where}: {spec.name!r} has shape {found}, the graph reads {shape}")
    lengths = {spec.name: len(arrays[spec.name]) for spec in specs}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        counted = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise DataError(f"{where}: every input needs as many rows, at least one; it has {counted}")


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    return len(shape) == len(spec.shape) and all(
        wanted == size or isinstance(wanted, str) or position == spec.batch_axis
        for position, (size, wanted) in enumerate(zip(shape, spec.shape, strict=True))
    )
