"""How well does `digits` read what it was not trained on: printed digits, anywhere on a page?

    python -m benchmarks.drawn_digits [REPOSITORY] [NAME]

Draws the ten digits with Pillow's own font, in both polarities and with growing margins, as PNG files
of 120 to 640 pixels, and asks the published model. Printed digits are not handwriting, so this is no gate.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.blocks import ImagePreprocessing
from models.catalog import default_repository, find_bundle
from models.manifest import MODEL_FILE
from models.transforms.image import decode_image, to_tensor
from training.predict import onnx_predict

HEIGHT_PIXELS = 100
MARGINS = (0.1, 0.5, 1.0, 2.5)  # on each side, in heights of the digit


def main(arguments: list[str]) -> None:
    """Print how many of ten are right for each margin and polarity."""
    repository = Path(arguments[0]) if arguments else default_repository()
    bundle = find_bundle(repository, arguments[1] if len(arguments) > 1 else "digits")
    block = bundle.manifest.preprocessing
    assert isinstance(block, ImagePreprocessing)
    predict = onnx_predict(bundle.path / MODEL_FILE)
    print("margin  black on white  white on black")
    for margin in MARGINS:
        counts = []
        for ink in (0, 255):
            pictures = [to_tensor(decode_image(draw(d, margin, ink)), block) for d in range(10)]
            classes = predict({block.input: np.stack(pictures)})["logits"].argmax(axis=1)
            counts.append(int((classes == np.arange(10)).sum()))
        print(f"{margin:6.1f}  {counts[0]:8} of 10  {counts[1]:8} of 10")


def draw(digit: int, margin: float, ink: int) -> bytes:
    """A PNG of one digit, `ink` on its opposite."""
    font = ImageFont.load_default(HEIGHT_PIXELS * 4 / 3)
    side = round(HEIGHT_PIXELS * (1 + 2 * margin))
    page = Image.new("L", (side, side), 255 - ink)
    middle = (side / 2, side / 2)
    ImageDraw.Draw(page).text(
        middle, str(digit), fill=ink, font=font, anchor="mm", stroke_width=3, stroke_fill=ink
    )
    out = io.BytesIO()
    page.save(out, format="PNG")
    return out.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
