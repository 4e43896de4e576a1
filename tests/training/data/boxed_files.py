"""Small data sets on disk for the readers of boxes and masks."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(path: Path, width: int = 40, height: int = 20, orientation: int = 1) -> None:
    """A grey JPEG or PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height), "grey").save(path, exif=exif)


def mask(path: Path, levels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(levels, dtype=np.uint8)).save(path)


def png_bytes(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def coco(count: int = 4) -> dict[str, Any]:
    """Pictures a0.jpg … of 40×20 pixels, one cat each at (10, 5) of 20×10 pixels; every second has a dog."""
    images = [
        {"id": 100 + row, "file_name": f"a{row}.jpg", "width": 40, "height": 20}
        for row in range(count)
    ]
    annotations = [
        {"id": row, "image_id": 100 + row, "category_id": 7, "bbox": [10, 5, 20, 10], "iscrowd": 0}
        for row in range(count)
    ]
    annotations += [
        {"id": 50 + row, "image_id": 100 + row, "category_id": 9, "bbox": [0, 0, 5, 5.5]}
        for row in range(0, count, 2)
    ]
    categories = [{"id": 9, "name": "dog"}, {"id": 7, "name": "cat"}, {"id": 1, "name": "unused"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root: Path, document: Any, name: str = "train.json", images: str = "images") -> Path:
    """The JSON, and a picture for each of its images that has a plain name."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    entries = document.get("images", []) if isinstance(document, dict) else []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
            picture(root / images / Path(entry["file_name"]).name)
    return file


def write_yolo(root: Path, lines: str = "0 0.5 0.5 0.5 0.5\n1 0.1 0.2 0.2 0.4\n") -> Path:
    """Four pictures of 40×20 pixels, the last without a label file."""
    for row in range(4):
        picture(root / "images" / f"a{row}.jpg")
    labels = root / "labels"
    labels.mkdir()
    for row in range(3):
        (labels / f"a{row}.txt").write_text(lines)
    (root / "classes.txt").write_text("cat\ndog\n")
    return root
