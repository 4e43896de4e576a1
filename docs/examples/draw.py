"""Draws the example pictures that lie beside it: `python -m docs.examples.draw [FOLDER]`.

They come from the generators that the recipes learn from, with numbers that no split of theirs uses, so no
model of the demo has seen them. `seven.png` is not made here: somebody drew it.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data import emblems, scenes, surfaces

HERE = Path(__file__).parent
SIDE = 64  # pixels of scenes and cloth

_SCENE = (1843, 8)  # the seeds of the splits' scenes begin with 0, 1 and 2
_EMBLEM = 20_003  # of the test split: in the gallery, but not among what was learned
_EMBLEM_PICTURES = (9_000, 9_001)  # a data set has at most 1,000 of each
_CLOTH = 155  # of the bad pieces; the recipe is judged on 150


def drawn() -> dict[str, NDArray[np.uint8]]:
    """File name → uint8 [3, side, side]."""
    scene = scenes.draw_scene(np.random.default_rng(_SCENE), SIDE, "test", "shapes")
    first, again = (emblems.draw_picture(_EMBLEM, index, 32) for index in _EMBLEM_PICTURES)
    cloth = surfaces.draw_bad(_CLOTH + 1, SIDE)[0][-1]
    return {
        "scene.png": scene.pixels,
        "emblem.png": first,
        "emblem-again.png": again,
        "cloth.png": cloth,
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, pixels in drawn().items():
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / name, optimize=True)
        print(folder / name)


if __name__ == "__main__":
    main()
