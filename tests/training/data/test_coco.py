import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.blocks import ImagePreprocessing
from tests.training.data.boxed_files import coco, picture, write_coco
from training.data.box_source import read_boxed_pictures
from training.data.boxed_pictures import collect_boxes
from training.errors import DataError

BLOCK = ImagePreprocessing(input="image", height=64, width=64, fit="pad")


def test_boxes_lie_on_the_canvas_where_the_picture_lies(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    found = read_boxed_pictures(tmp_path)
    # In the order of the file; a category without a box is no class.
    assert found.class_names == ("dog", "cat")
    split = collect_boxes(found.pictures, BLOCK)
    assert split.pixels.shape == (4, 3, 64, 64)
    # 40×20 becomes 64×32 below 16 black rows.
    assert split.boxes[0].tolist() == [[16, 24, 48, 40], [0, 16, 8, pytest.approx(24.8)]]
    assert split.labels.tolist() == [[1, 0], [1, -1], [1, 0], [1, -1]]
    assert split.objects == 6


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("train.json", "images"),
        ("train.json", "train"),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017"),
        ("train/_annotations.coco.json", "train"),
        ("annotations.json", "."),
    ],
)
def test_pictures_are_found_where_people_put_them(tmp_path: Path, name: str, images: str) -> None:
    file = write_coco(tmp_path, coco(), name, images)
    assert len(read_boxed_pictures(tmp_path).pictures) == 4
    if images != "train2017" and "/" not in images and "annotations/" not in name:
        assert len(read_boxed_pictures(file).pictures) == 4


def test_splits_are_told_by_the_names_of_files_and_others_are_left_alone(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        folder = f"annotations/instances_{split}2017.json"
        write_coco(tmp_path, coco(2), folder, f"{split}2017")
        others = {"images": [], "annotations": [{"image_id": 1, "caption": "a cat"}]}
        captions = tmp_path / "annotations" / f"captions_{split}2017.json"
        captions.write_text(json.dumps(others))
    splits = [one.split for one in read_boxed_pictures(tmp_path).pictures]
    assert splits == ["test", "test", "train", "train", "validation", "validation"]


def test_crowds_are_kept_apart_and_boxes_without_extent_are_left_out(tmp_path: Path) -> None:
    document = coco()
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["bbox"] = [10, 5, 0, 10]
    write_coco(tmp_path, document)
    split = collect_boxes(read_boxed_pictures(tmp_path).pictures, BLOCK)
    assert split.crowds[:, 0].tolist() == [True, False, False, False]
    assert split.labels[1].tolist() == [-1, -1]
    assert split.objects == 4


def test_boxes_over_the_edge_are_cut_off(tmp_path: Path) -> None:
    document = coco()
    document["annotations"][0]["bbox"] = [-10, 10, 60, 60]
    write_coco(tmp_path, document)
    split = collect_boxes(read_boxed_pictures(tmp_path).pictures, BLOCK)
    assert split.boxes[0, 0].tolist() == [0, 32, 64, 48]


def _changed(member: str, key: str, value: object) -> dict[str, Any]:
    document = coco()
    document[member][1][key] = value
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"bbox": [}', r"train\.json, line 1: no valid JSON"),
        ('["bbox"]', r"train\.json: must be a JSON object"),
        ('{"bbox": 1, "images": []}', r"train\.json: has no list 'categories'"),
        (_changed("annotations", "bbox", [1, 2, 3]), r"annotation 1, id 1: bbox must be four"),
        (_changed("annotations", "bbox", [1, 2, "3", 4]), r"annotation 1, id 1: bbox must be four"),
        (_changed("annotations", "bbox", [1, 2, float("nan"), 4]), r"bbox must be four numbers"),
        (_changed("annotations", "bbox", [1, 2, -3, 4]), r"annotation 1, id 1: .* negative"),
        (_changed("annotations", "image_id", 3), r"annotation 1, id 1: image_id 3 is no image's"),
        (_changed("annotations", "image_id", [3]), r"annotation 1, id 1: image_id \[3\] is no"),
        (_changed("annotations", "category_id", 3), r"annotation 1, id 1: category_id 3 is no"),
        (_changed("images", "id", 100), r"two images have the same id"),
        (_changed("images", "file_name", "../x.jpg"), r"image 1, id 101: .* points outside"),
        (_changed("images", "file_name", None), r"image 1, id 101: needs a file_name"),
        (_changed("categories", "name", ""), r"category 1, id 7: needs a printable name"),
        (_changed("categories", "name", "dog"), r"category 1, id 7: there is another category"),
        (_changed("categories", "id", 9), r"category 1, id 9: needs an id of its own"),
    ],
)
def test_a_malformed_file_is_refused_naming_file_and_entry(
    tmp_path: Path, document: Any, message: str
) -> None:
    write_coco(tmp_path, document)
    with pytest.raises(DataError, match=message):
        read_boxed_pictures(tmp_path)


def test_a_missing_picture_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    (tmp_path / "images" / "a2.jpg").unlink()
    with pytest.raises(DataError, match=r"image 2, id 102: .* 'a2.jpg'; looked in \., images"):
        read_boxed_pictures(tmp_path)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    (tmp_path / "images" / "a2.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"images/a2\.jpg: not a picture"):
        collect_boxes(read_boxed_pictures(tmp_path).pictures, BLOCK)


@pytest.mark.parametrize("box", [[50, 5, 10, 10], [10, 30, 5, 5]])
def test_a_box_outside_of_its_picture_is_named(tmp_path: Path, box: list[int]) -> None:
    write_coco(tmp_path, _changed("annotations", "bbox", box))
    with pytest.raises(DataError, match=r"annotation 1, id 1: the box lies outside .* 40×20"):
        collect_boxes(read_boxed_pictures(tmp_path).pictures, BLOCK)


def test_a_picture_that_turns_when_it_is_read_is_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    picture(tmp_path / "images" / "a1.jpg", orientation=6)
    with pytest.raises(DataError, match=r"image 1, .* annotated as 40×20 .* has 20×40"):
        collect_boxes(read_boxed_pictures(tmp_path).pictures, BLOCK)


def test_a_class_that_only_the_test_pictures_have_is_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    document = coco()
    document["annotations"][0]["category_id"] = 1
    write_coco(tmp_path, document, "test.json")
    with pytest.raises(DataError, match=r"test\.json: annotation 0, id 0: .* 'unused' to learn"):
        read_boxed_pictures(tmp_path)


def test_two_files_for_one_split_are_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    write_coco(tmp_path, coco(), "training.json")
    with pytest.raises(DataError, match="both annotate the train pictures"):
        read_boxed_pictures(tmp_path)


def test_the_data_are_known_by_their_contents(tmp_path: Path) -> None:
    write_coco(tmp_path, coco())
    before = read_boxed_pictures(tmp_path)
    assert read_boxed_pictures(tmp_path).sha256 == before.sha256
    write_coco(tmp_path, _changed("annotations", "bbox", [1, 2, 3, 4]))
    assert read_boxed_pictures(tmp_path).sha256 != before.sha256
    assert np.all([one.size == (40, 20) for one in before.pictures])
