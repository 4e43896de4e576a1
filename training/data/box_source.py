"""Where a detector's pictures come from: `--data` in COCO's or YOLO's format, or drawn scenes."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from training.data import scenes
from training.data.boxed_pictures import BoxedPictures, BoxSplit, as_split
from training.data.coco import CocoFile, split_of
from training.data.images import SplitName
from training.data.labelled_pictures import stem_of
from training.data.picture_files import SourceFile, SourceFiles, read_source
from training.data.yolo import YoloFolder
from training.errors import DataError

_LAYOUTS = (
    "expected COCO's JSON (annotations/*.json or train.json beside images/) or YOLO's folders "
    "(images/*.jpg and labels/*.txt)"
)
_IS_BOXES = re.compile(rb'"bbox"')


def read_boxed_pictures(path: Path) -> BoxedPictures:
    """Understand a folder, an archive or one COCO file. Raises DataError."""
    if path.is_file() and path.suffix.lower() == ".json":
        source = read_source(path.parent)
        annotated = [file for file in source.files if file.parts == (path.name,)]
        return _read_coco(path, str(path.parent), source, annotated)
    source, root = read_source(path), str(path)
    annotated = [file for file in source.files if _holds_boxes(file)]
    if annotated:
        return _read_coco(path, root, source, annotated)
    if not any("images" in file.parts[:-1] for file in source.files):
        raise DataError(f"{path}: no annotations found; {_LAYOUTS}")
    folder = YoloFolder(root, source)
    if not any(picture.annotations for picture in folder.pictures):
        raise DataError(f"{path}: no boxes found; {_LAYOUTS}")
    return BoxedPictures(stem_of(path), folder.class_names, folder.pictures, source.sha256())


def split_of_scenes(drawn: Sequence[scenes.Scene]) -> BoxSplit:
    """Scenes need no placing: they are drawn at the canvas's size."""
    return as_split(
        [scene.pixels for scene in drawn],
        [(scene.boxes, scene.labels, scene.labels < 0) for scene in drawn],
    )


def _read_coco(
    path: Path, root: str, source: SourceFiles, annotated: list[SourceFile]
) -> BoxedPictures:
    files = {file.parts: file for file in source.files}
    chosen = _one_per_split(root, annotated)
    parts = [CocoFile(root, file, split, files) for split, file in chosen.items()]
    learned = set().union(*(part.named_classes() for part in parts if part.split == "train"))
    names = tuple(
        dict.fromkeys(
            name for part in parts for name in part.categories.values() if name in learned
        )
    )
    if not names:
        raise DataError(f"{path}: there are no boxes to learn from; {_LAYOUTS}")
    pictures = tuple(picture for part in parts for picture in part.pictures(names))
    digest = hashlib.sha256(source.sha256().encode())
    for file in annotated:
        digest.update(file.name.encode() + b"\0")
    return BoxedPictures(stem_of(path), names, pictures, digest.hexdigest())


def _one_per_split(root: str, annotated: list[SourceFile]) -> dict[SplitName, SourceFile]:
    if len(annotated) == 1:
        return {"train": annotated[0]}
    found: dict[SplitName, list[SourceFile]] = {}
    for file in annotated:
        found.setdefault(split_of(file), []).append(file)
    chosen: dict[SplitName, SourceFile] = {}
    for split, files in found.items():
        # COCO ships key points and captions beside the objects.
        instances = [file for file in files if file.parts[-1].startswith("instances")]
        few = instances or files
        if len(few) > 1:
            raise DataError(
                f"{root}: {few[0].name} and {few[1].name} both annotate the {split} pictures; "
                "keep one of them, or give the file itself"
            )
        chosen[split] = few[0]
    if "train" not in chosen:
        raise DataError(
            f"{root}: no annotations to learn from, only {', '.join(sorted(chosen))}; name one train.json"
        )
    return chosen


def _holds_boxes(file: SourceFile) -> bool:
    return file.parts[-1].lower().endswith(".json") and bool(_IS_BOXES.search(file.read()))
