"""Rows that do not fit are told before anything runs."""

from pathlib import Path

import numpy as np
import pytest

from models.datatypes import DataType
from models.manifest import TensorSpec
from training.errors import DataError
from training.optimizing.rows import read_rows

SPECS = (
    TensorSpec(name="ids", dtype=DataType.INT64, shape=("batch", "sequence")),
    TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", 3, 8, 8)),
)
IDS, IMAGE = np.zeros((4, 7), np.int64), np.zeros((4, 3, 8, 8), np.float32)


def test_rows_of_the_graphs_shape_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", ids=IDS, image=IMAGE, more=np.zeros(3))
    rows = read_rows(tmp_path / "rows.npz", SPECS)
    assert {name: array.shape for name, array in rows.items()} == {
        "ids": (4, 7),
        "image": (4, 3, 8, 8),
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": IMAGE}, "holds image; the graph also reads 'ids'"),
        (
            {"ids": IDS, "image": IMAGE.astype(np.float64)},
            "'image' is float64, the graph reads float32",
        ),
        (
            {"ids": IDS, "image": IMAGE[:, :1]},
            r"has shape \[4, 1, 8, 8\], the graph reads \[batch, 3",
        ),
        ({"ids": IDS[0], "image": IMAGE}, r"'ids' has shape \[7\]"),
        ({"ids": IDS[:2], "image": IMAGE}, "as many rows, at least one; it has ids 2, image 4"),
        ({"ids": IDS[:0], "image": IMAGE[:0]}, "at least one; it has ids 0"),
    ],
)
def test_what_does_not_fit_is_named(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "rows.npz", SPECS)


@pytest.mark.parametrize("content", [None, b"not an archive"])
def test_a_file_that_is_none_says_how_to_write_one(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"numpy\.savez\(path, ids=…, image=…\)"):
        read_rows(path, SPECS)
