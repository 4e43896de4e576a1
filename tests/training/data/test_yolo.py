import tarfile
from pathlib import Path

import pytest

from models.blocks import ImagePreprocessing
from tests.training.data.boxed_files import picture, write_yolo
from training.data.box_source import read_boxed_pictures
from training.data.boxed_pictures import collect_boxes
from training.errors import DataError

BLOCK = ImagePreprocessing(input="image", height=32, width=32, fit="stretch")


def test_boxes_are_parts_of_the_pictures_sides(tmp_path: Path) -> None:
    found = read_boxed_pictures(write_yolo(tmp_path))
    assert found.class_names == ("cat", "dog")
    split = collect_boxes(found.pictures, BLOCK)
    assert split.boxes[0, 0].tolist() == [8, 8, 24, 24]
    assert split.boxes[0, 1].tolist() == pytest.approx([0, 0, 6.4, 12.8], abs=1e-5)
    assert split.labels.tolist() == [[0, 1]] * 3 + [[-1, -1]]


def test_an_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    write_yolo(folder)
    with tarfile.open(tmp_path / "pets.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    found = read_boxed_pictures(tmp_path / "pets.tar.gz")
    assert (found.name, len(found.pictures)) == ("pets", 4)
    assert sum(len(one.annotations) for one in found.pictures) == 6


@pytest.mark.parametrize("layout", ["{split}/images/a.jpg", "images/{split}/a.jpg"])
def test_splits_are_folders_above_or_below(tmp_path: Path, layout: str) -> None:
    for split in ("train", "valid", "test"):
        file = tmp_path / layout.format(split=split)
        picture(file)
        label = tmp_path / layout.format(split=split).replace("images", "labels")
        label.parent.mkdir(parents=True)
        label.with_suffix(".txt").write_text("0 0.5 0.5 0.5 0.5")
    found = read_boxed_pictures(tmp_path)
    assert sorted(one.split for one in found.pictures) == ["test", "train", "validation"]
    assert found.class_names == ("0",)


def test_splits_may_be_lists_of_pictures(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./images/a0.jpg\n/home/ann/pets/images/a1.jpg\n")
    (tmp_path / "val.txt").write_text("images/a2.jpg\n")
    splits = {one.name[-6:]: one.split for one in read_boxed_pictures(tmp_path).pictures}
    assert splits == {"a0.jpg": "train", "a1.jpg": "train", "a2.jpg": "validation"}
    (tmp_path / "val.txt").write_text("images/a2.jpg\nimages/b.jpg\n")
    with pytest.raises(DataError, match=r"val\.txt, line 2: there is no picture 'images/b\.jpg'"):
        read_boxed_pictures(tmp_path)


@pytest.mark.parametrize("names", ["names: [cat, dog]", "names:\n  1: dog\n  0: cat\nnc: 2"])
def test_names_may_stand_in_data_yaml(tmp_path: Path, names: str) -> None:
    write_yolo(tmp_path)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "data.yaml").write_text(f"train: images\n{names}\n")
    assert read_boxed_pictures(tmp_path).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: [cat\ntrain: x", r"data\.yaml, line 2: no valid YAML"),
        ("names: {0: cat, 2: dog}", r"data\.yaml: names must be numbered 0, 1, 2"),
        ("names: 3", r"data\.yaml: names must be a list"),
        ("names: [cat, cat]", r"data\.yaml: the name 'cat' stands twice"),
    ],
)
def test_malformed_names_are_refused(tmp_path: Path, yaml: str, message: str) -> None:
    write_yolo(tmp_path)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(DataError, match=message):
        read_boxed_pictures(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", r"line 2: 4 values; a box is a class and four numbers"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", r"line 2: an outline; a box is"),
        ("cat 0.5 0.5 0.5 0.5", r"line 2: 'cat 0.5 0.5 0.5 0.5' are not five numbers"),
        ("0 nan 0.5 0.5 0.5", r"line 2: .* are not a class and four numbers"),
        ("-1 0.5 0.5 0.5 0.5", r"line 2: .* are not a class and four numbers"),
        ("0 20 10 5 5", r"line 2: '20 10 5 5' must be parts of the picture's sides, 0 to 1"),
        ("2 0.5 0.5 0.5 0.5", r"line 2: class 2, but there are names for 2 classes"),
    ],
)
def test_a_malformed_line_is_refused_naming_file_and_line(
    tmp_path: Path, line: str, message: str
) -> None:
    write_yolo(tmp_path, f"0 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(DataError, match=rf"labels/a0\.txt, {message}"):
        read_boxed_pictures(tmp_path)


def test_labels_without_a_picture_are_refused(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "b.txt").write_text("")
    with pytest.raises(DataError, match=r"labels/b\.txt belongs to no picture"):
        read_boxed_pictures(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "a0.txt").write_bytes(b"\xff\xfe0")
    with pytest.raises(DataError, match=r"labels/a0\.txt: not UTF-8"):
        read_boxed_pictures(tmp_path)


def test_pictures_without_any_box_are_refused_with_the_formats(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    with pytest.raises(DataError, match="no boxes found; expected COCO's JSON"):
        read_boxed_pictures(tmp_path)
    picture(tmp_path / "other" / "a.jpg")
    with pytest.raises(DataError, match="no annotations found; expected COCO's JSON"):
        read_boxed_pictures(tmp_path / "other")
