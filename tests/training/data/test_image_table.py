"""Tables of pictures: headings, orders and splits as people write them; every mistake names its line."""

from pathlib import Path

import numpy as np
import pytest

from models.blocks import ImagePreprocessing
from tests.training.data.test_image_folder import png, write
from training.data.image_source import prepare_images, read_pictures
from training.data.image_table import ImageTable
from training.errors import DataError
from training.tasks.image_settings import ImageConfig

BLOCK = ImagePreprocessing(input="image", height=8, width=8)
ROWS = [(f"pictures/{name}{number}.png", name) for name in ("cat", "dog") for number in range(5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, {path: png(index * 20) for index, (path, _) in enumerate(ROWS)})


def table(folder: Path, lines: list[str], name: str = "labels.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


PLAIN = [f"{path},{label}" for path, label in ROWS]


@pytest.mark.parametrize(
    "lines",
    [
        PLAIN,
        ["path,label", *PLAIN],
        ["Label,File", *(f"{label},{path}" for path, label in ROWS)],
        [f"{path};{label}" for path, label in ROWS],
        ["id,image,class", *(f"{i},{path},{label}" for i, (path, label) in enumerate(ROWS))],
    ],
    ids=["no heading", "heading", "other order", "semicolons", "more columns"],
)
def test_the_same_pictures_however_they_are_listed(folder: Path, lines: list[str]) -> None:
    read = ImageTable(table(folder, lines))
    assert read.class_names == ("cat", "dog")
    assert [(picture.name, picture.label) for picture in read.pictures] == ROWS
    data = read.read(BLOCK, 0)
    assert (len(data.train), len(data.test)) == (8, 2)
    assert "held out" in data.note
    assert data.name == "labels"


def test_a_split_column_is_respected(folder: Path) -> None:
    splits = ["train", "Train", "val", "test", "train"] * 2
    lines = [
        "path,label,split",
        *(f"{row},{split}" for row, split in zip(PLAIN, splits, strict=True)),
    ]
    path = table(folder, lines)
    data = ImageTable(path).read(BLOCK, 0)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 2)
    images = prepare_images(path, ImageConfig(), 0.5, 0)
    assert np.array_equal(images.validation.pixels, data.validation.pixels)
    assert len(images.train) == 6


def test_with_one_held_out_part_the_figures_come_from_it(folder: Path) -> None:
    splits = ["train", "train", "val", "train", "train"] * 2
    lines = [f"{row},{split}" for row, split in zip(PLAIN, splits, strict=True)]
    data = ImageTable(table(folder, lines)).read(BLOCK, 0)
    assert data.validation is None
    assert (len(data.train), len(data.test)) == (8, 2)


def test_the_hash_is_of_names_labels_and_contents(folder: Path) -> None:
    before = ImageTable(table(folder, PLAIN)).sha256
    assert ImageTable(table(folder, ["path,label", *PLAIN])).sha256 == before
    (folder / ROWS[3][0]).write_bytes(png(77))
    assert ImageTable(folder / "labels.csv").sha256 != before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pictures/cat0.png,dog", r"labels\.csv, line 11: .*cat0\.png stands in line 1 already"),
        ("./pictures/cat0.png,cat", "line 11: .*stands in line 1 already"),
        ("pictures/none.png,cat", r"line 11: pictures/none\.png: no such file; paths are relative"),
        ("pictures,cat", "line 11: pictures: no such file"),
        ("pictures/cat0.png", "line 11: 1 columns where 2 are expected"),
        ("a,b,c", "line 11: 3 columns where 2 are expected"),
        ("bad.png,", "line 11: the label is empty"),
        (",cat", "line 11: the path is empty"),
        ("bad.png,bird", "class 'bird' has 1 pictures"),
    ],
)
def test_a_bad_line_is_named(folder: Path, line: str, message: str) -> None:
    (folder / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=message):
        ImageTable(table(folder, [*PLAIN, line]))


def test_a_damaged_picture_is_named_with_its_line(folder: Path) -> None:
    (folder / "bad.png").write_bytes(png(3, side=64)[:80])
    path = table(folder, [*PLAIN[:4], "bad.png,cat", *PLAIN[4:]])
    with pytest.raises(DataError, match=r"labels\.csv, line 5: bad\.png: the picture is damaged"):
        ImageTable(path).read(BLOCK, 0)


def test_an_unknown_split_and_unclear_columns_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match="line 1: split 'later' is none of train"):
        ImageTable(table(folder, [f"{PLAIN[0]},later", *(f"{row},train" for row in PLAIN[1:])]))
    with pytest.raises(DataError, match="line 1: the columns are name, label; expected"):
        ImageTable(table(folder, ["name,label", *PLAIN]))
    lines = [f"{row},train" for row in PLAIN]
    lines[9] = f"{ROWS[9][0]},bird,test"
    with pytest.raises(DataError, match="is in test/ but not in train/"):
        ImageTable(table(folder, lines))


def test_tables_and_folders_are_told_apart_by_name(folder: Path) -> None:
    assert isinstance(read_pictures(table(folder, PLAIN)), ImageTable)
    lines = [f'{{"path": "{path}", "label": "{label}"}}' for path, label in ROWS]
    assert isinstance(read_pictures(table(folder, lines, "labels.jsonl")), ImageTable)
