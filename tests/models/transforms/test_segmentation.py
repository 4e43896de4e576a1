import io

import numpy as np
import pytest
from PIL import Image

from models.blocks import ImagePreprocessing
from models.transforms import segmentation
from models.transforms.geometry import placement, untouched
from models.transforms.segmentation import (
    class_mask,
    from_run_lengths,
    palette,
    run_lengths,
    shown_size,
    to_palette_png,
)


def test_at_the_graphs_own_size_a_pixel_has_its_highest_class() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 12, 20)).astype(np.float32)
    assert np.array_equal(class_mask(logits, untouched((20, 12)), (20, 12)), logits.argmax(axis=0))


def test_the_border_of_a_letterbox_is_no_part_of_the_mask() -> None:
    """200×100 in 64×64: rows 16 to 48 are the picture, its right half of class 1."""
    logits = np.zeros((3, 64, 64), dtype=np.float32)
    logits[2] = 5
    logits[2, 16:48] = -5
    logits[1, 16:48, 32:] = 3
    block = ImagePreprocessing(input="image", height=64, width=64, fit="pad")
    mask = class_mask(logits, placement((200, 100), block), (200, 100))
    assert mask.shape == (100, 200)
    assert (mask[4:-4, :97] == 0).all()
    assert (mask[4:-4, 103:] == 1).all()


def test_logits_are_enlarged_as_torch_does_it() -> None:
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(1).normal(size=(4, 9, 7)).astype(np.float32)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], size=(90, 77), mode="bilinear", align_corners=False
    )
    expected = enlarged[0].argmax(dim=0).numpy()
    given = class_mask(logits, untouched((28, 36)), (77, 90))
    # Rounding may decide between two classes that are equal there.
    assert (given != expected).mean() < 0.001


def test_a_huge_mask_is_found_small_and_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.zeros((2, 8, 8), dtype=np.float32)
    logits[1, :, 4:] = 1
    exact = class_mask(logits, untouched((8, 8)), (400, 400))
    monkeypatch.setattr(segmentation, "_MOST_COMPARED", 2 * 100 * 100)
    given = class_mask(logits, untouched((8, 8)), (400, 400))
    assert given.shape == (400, 400)
    assert (given != exact).mean() < 0.02


@pytest.mark.parametrize(
    ("size", "most", "shown"),
    [((640, 480), None, (640, 480)), ((640, 480), 320, (320, 240)), ((100, 1), 10, (10, 1))],
)
def test_a_mask_may_be_wanted_smaller(
    size: tuple[int, int], most: int | None, shown: tuple[int, int]
) -> None:
    assert shown_size(size, most) == shown


def test_a_pixel_of_the_png_is_its_class_number_in_the_classs_colour() -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.open(io.BytesIO(to_palette_png(mask, 12)))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), mask)
    colours = palette(256)
    assert image.convert("RGB").getpixel((1, 1)) == tuple(colours[15:18])
    assert len({colours[at : at + 3] for at in range(0, 3 * 32, 3)}) == 32


def test_run_lengths_are_cocos() -> None:
    wanted = np.array([[0, 1, 1], [1, 1, 0]], dtype=bool)
    assert run_lengths(wanted).tolist() == [1, 4, 1]
    assert run_lengths(~wanted).tolist() == [0, 1, 4, 1]
    assert run_lengths(np.ones((2, 2), dtype=bool)).tolist() == [0, 4]
    assert run_lengths(np.zeros((2, 2), dtype=bool)).tolist() == [4]


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_tell_the_whole_mask(seed: int) -> None:
    wanted = np.random.default_rng(seed).random((17, 23)) > 0.6
    assert np.array_equal(from_run_lengths(run_lengths(wanted), (23, 17)), wanted)
