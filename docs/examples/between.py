"""Draws `between.png`: what lies between two seeds of `digits-vae`, a digit a row.

    python -m docs.examples.between [URL] [TARGET]

Asks a running server (`make demo`) for one strip of pictures for each class and lays them below each other.
"""

import base64
import io
import json
import sys
import urllib.request
from pathlib import Path

from PIL import Image

MODEL, CLASSES = "digits-vae", "0123456789"
OPTIONS = {"seed": 4, "interpolate_to": 11, "frames": 12, "size": "32x32"}
_GAP = 6  # pixels between two pictures


def strip(url: str, prompt: str) -> Image.Image:
    """The strip of one class."""
    request = urllib.request.Request(
        f"{url}/v1/models/{MODEL}/predict",
        json.dumps({"prompt": prompt, **OPTIONS}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        answer = json.load(reply)["predictions"][0]
    return Image.open(io.BytesIO(base64.b64decode(answer["image"])))


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("between.png")
    strips = [strip(url, prompt) for prompt in CLASSES]
    side = strips[0].height
    step, frames = side + _GAP, strips[0].width // side
    sheet = Image.new("L", (frames * step + _GAP, len(strips) * step + _GAP), color=128)
    for row, each in enumerate(strips):
        for column in range(frames):
            frame = each.crop((column * side, 0, (column + 1) * side, side))
            sheet.paste(frame, (column * step + _GAP, row * step + _GAP))
    sheet.save(target, optimize=True)
    print(target)


if __name__ == "__main__":
    main()
