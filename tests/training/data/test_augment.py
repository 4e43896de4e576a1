"""Augmentation keeps pictures pictures, and does only what it is told."""

import pytest
import torch

from training.data.augment import augment
from training.tasks.image_settings import AugmentConfig

NOTHING = AugmentConfig(
    shift=0, rotate_degrees=0, smallest=1, contrast=0, flip_probability=0, invert_probability=0
)


def pictures(channels: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(64, channels, 8, 8)


def changed(channels: int, **settings: float) -> torch.Tensor:
    return augment(pictures(channels), NOTHING.model_copy(update=settings))


@pytest.mark.parametrize("channels", [1, 3])
def test_told_to_do_nothing_it_changes_nothing(channels: int) -> None:
    torch.testing.assert_close(changed(channels), pictures(channels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_default_keeps_shape_range_and_differs_between_pictures(channels: int) -> None:
    one = torch.rand(1, channels, 8, 8).repeat(16, 1, 1, 1)
    many = augment(one, AugmentConfig())
    assert many.shape == one.shape
    assert many.min() >= 0
    assert many.max() <= 1 + 1e-6
    assert not torch.allclose(many[0], many[1])


def test_inversion_is_for_grey_and_mirroring_for_colour() -> None:
    inverted = changed(1, invert_probability=1.0, flip_probability=1.0)
    torch.testing.assert_close(inverted, 1 - pictures(1), atol=1e-5, rtol=0)
    mirrored = changed(3, invert_probability=1.0, flip_probability=1.0)
    torch.testing.assert_close(mirrored, pictures(3).flip(-1), atol=1e-5, rtol=0)


def test_shrinking_leaves_black_margins() -> None:
    white = torch.ones(32, 1, 16, 16)
    torch.manual_seed(0)
    smaller = augment(white, NOTHING.model_copy(update={"smallest": 0.5}))
    assert smaller.sum() < white.sum()
    assert bool((smaller[:, :, 8, 8] > 0.99).all())


def test_the_same_seed_draws_the_same_changes() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(augment(torch.ones(4, 1, 8, 8), AugmentConfig()))
    assert torch.equal(*draws)


def test_a_crop_moves_whole_pixels_within_its_padding_and_uncovers_black() -> None:
    columns = torch.arange(1, 9).float().repeat(8, 1) / 10
    picture = columns.repeat(500, 3, 1, 1)
    torch.manual_seed(0)
    cut = augment(picture, NOTHING.model_copy(update={"crop_padding": 2}))
    assert cut.shape == picture.shape
    padded = torch.nn.functional.pad(picture[0], (2,) * 4)
    possible = {
        padded[:, top : top + 8, left : left + 8].numpy().tobytes(): 0
        for top in range(5)
        for left in range(5)
    }
    for one in cut:
        possible[one.contiguous().numpy().tobytes()] += 1  # KeyError: no crop of this picture
    # 500 over 25 places: 20 each, and 4.4 for one standard deviation.
    assert min(possible.values()) > 2
    assert max(possible.values()) < 45


def test_brightness_scales_the_whole_picture_both_ways_within_its_bound() -> None:
    grey = torch.full((400, 3, 2, 2), 0.5)
    torch.manual_seed(0)
    changed_ = augment(grey, NOTHING.model_copy(update={"brightness": 0.4}))
    assert torch.equal(changed_, changed_[:, :1, :1, :1].expand_as(changed_))
    levels = changed_[:, 0, 0, 0] / 0.5
    assert 0.6 <= float(levels.min()) < 0.65
    assert 1.35 < float(levels.max()) <= 1.4
    assert float(levels.mean()) == pytest.approx(1, abs=0.05)


def test_saturation_and_hue_keep_luminance_and_every_grey() -> None:
    torch.manual_seed(0)
    colours = 0.4 + 0.2 * torch.rand(200, 3, 4, 4)  # far enough from 0 and 1 not to be cut off
    settings = {"saturation": 0.5, "hue_degrees": 40.0}
    recoloured = augment(colours, NOTHING.model_copy(update=settings))
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    torch.testing.assert_close(
        (recoloured * weights).sum(dim=1), (colours * weights).sum(dim=1), atol=1e-5, rtol=0
    )
    assert float((recoloured - colours).abs().max()) > 0.03
    grey = torch.rand(20, 1, 4, 4).expand(-1, 3, -1, -1)
    same = augment(grey, NOTHING.model_copy(update=settings))
    torch.testing.assert_close(same, grey, atol=1e-5, rtol=0)


def test_saturation_changes_how_vivid_a_colour_is_by_its_bound_and_not_which() -> None:
    red = torch.tensor([0.6, 0.4, 0.4]).reshape(1, 3, 1, 1).expand(300, 3, 2, 2)
    torch.manual_seed(0)
    vivid = augment(red, NOTHING.model_copy(update={"saturation": 0.5}))[:, :, 0, 0]
    spread = (vivid[:, 0] - vivid[:, 1]) / 0.2
    assert 0.5 <= float(spread.min()) < 0.55
    assert 1.45 < float(spread.max()) <= 1.5
    torch.testing.assert_close(vivid[:, 1], vivid[:, 2], atol=1e-5, rtol=0)


def test_hue_turns_colours_about_grey_and_leaves_their_vividness() -> None:
    red = torch.tensor([0.6, 0.4, 0.4]).reshape(1, 3, 1, 1).expand(300, 3, 2, 2)
    torch.manual_seed(0)
    turned = augment(red, NOTHING.model_copy(update={"hue_degrees": 180.0}))[:, :, 0, 0]
    assert len({int(colour.argmax()) for colour in turned}) == 3  # red, green and blue all lead
    in_phase = torch.tensor([0.596, -0.274, -0.322])
    quadrature = torch.tensor([0.211, -0.523, 0.312])
    chroma = torch.hypot(turned @ in_phase, turned @ quadrature)
    torch.testing.assert_close(chroma, chroma[:1].expand(300), atol=1e-5, rtol=0)


def test_grey_pictures_have_no_colour_to_change() -> None:
    same = changed(1, saturation=1.0, hue_degrees=180.0)
    torch.testing.assert_close(same, pictures(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_erasing_covers_one_rectangle_of_noise_in_its_part_of_the_pictures(
    probability: float,
) -> None:
    black = torch.zeros(400, 3, 32, 32)
    torch.manual_seed(0)
    settings = {"erase_probability": probability, "erase_largest": 0.25}
    erased = augment(black, NOTHING.model_copy(update=settings))
    hit = (erased > 0).any(dim=1)  # [N, S, S]
    assert float(hit.any(dim=(1, 2)).float().mean()) == pytest.approx(probability, abs=0.08)
    for mask in hit[hit.any(dim=(1, 2))]:
        height, width = int(mask.any(dim=1).sum()), int(mask.any(dim=0).sum())
        assert int(mask.sum()) == height * width  # whole and inside
        assert height * width <= 0.25 * 32 * 32 * 1.1 + 32  # rounded to whole pixels
    if probability:
        noise = erased[erased > 0]
        assert float(noise.mean()) == pytest.approx(0.5, abs=0.02)
        assert float(hit.float().mean()) / probability == pytest.approx(0.135, abs=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_padding": 2},
        {"brightness": 0.3, "saturation": 0.3, "hue_degrees": 20.0},
        {"erase_probability": 1.0},
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_change_keeps_the_shape_the_range_and_the_seed(
    settings: dict[str, float], channels: int
) -> None:
    draws = []
    for _ in range(2):
        one = pictures(channels)
        before = one.clone()
        torch.manual_seed(3)
        draws.append(augment(one, NOTHING.model_copy(update=settings)))
        assert torch.equal(one, before)  # a copy is changed
    assert torch.equal(*draws)
    assert draws[0].shape == one.shape
    assert float(draws[0].min()) >= 0
    assert float(draws[0].max()) <= 1


def centre_of(pixels: torch.Tensor) -> torch.Tensor:
    """Where the light is, [N, 2]: across and down, in parts of the side from the middle."""
    side = pixels.shape[-1]
    places = (torch.arange(side) + 0.5) / side - 0.5
    light = pixels[:, 0] / pixels[:, 0].sum(dim=(1, 2), keepdim=True)
    across, down = light.sum(dim=1) @ places, light.sum(dim=2) @ places
    return torch.stack((across, down), dim=1)


def test_a_shift_moves_the_content_both_ways_within_its_bound() -> None:
    dot = torch.zeros(300, 1, 32, 32)
    dot[:, :, 14:18, 14:18] = 1
    torch.manual_seed(0)
    moved = centre_of(augment(dot, NOTHING.model_copy(update={"shift": 0.2})))
    assert float(moved.abs().max()) <= 0.2 + 1e-3
    for axis in range(2):
        assert float(moved[:, axis].max()) > 0.18
        assert float(moved[:, axis].min()) < -0.18


def test_a_rotation_turns_about_the_middle_within_its_bound() -> None:
    dot = torch.zeros(300, 1, 32, 32)
    dot[:, :, 14:18, 26:30] = 1  # to the right of the middle
    torch.manual_seed(0)
    turned = centre_of(augment(dot, NOTHING.model_copy(update={"rotate_degrees": 30.0})))
    degrees = torch.rad2deg(torch.atan2(turned[:, 1], turned[:, 0]))
    assert 28 < float(degrees.max()) <= 31
    assert -31 <= float(degrees.min()) < -28
    distance = turned.norm(dim=1)
    assert float((distance - distance.mean()).abs().max()) < 0.01


def test_contrast_is_lost_by_no_more_than_its_bound() -> None:
    torch.manual_seed(0)
    darker = augment(torch.ones(300, 1, 4, 4), NOTHING.model_copy(update={"contrast": 0.4}))
    levels = darker[:, 0, 0, 0]
    assert 0.6 <= float(levels.min()) < 0.62
    assert 0.98 < float(levels.max()) <= 1
