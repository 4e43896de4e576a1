from collections.abc import Iterator

import pytest
import torch

from tests.training.networks.inspectors import SIDE, good_pictures, reconstruction
from training.networks.autoencoder import Autoencoder
from training.train import cpu_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


@pytest.mark.parametrize("side", [16, 48])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_picture_is_redrawn_in_its_own_size(side: int, batch: int) -> None:
    pictures = torch.randn(batch, 3, side, side)
    assert Autoencoder(width=4, latent=2).eval()(pictures).shape == pictures.shape


def test_the_middle_is_as_narrow_as_asked() -> None:
    network = Autoencoder(width=4, latent=5).eval()
    assert network.encoder(torch.randn(1, 3, 64, 64)).shape == (1, 5, 4, 4)


def test_one_picture_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    network, picture = Autoencoder(width=4, latent=8), torch.randn(1, 3, 2, 2)
    picture = torch.nn.functional.interpolate(picture, (32, 32), mode="bilinear")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(80):
        loss = (network(picture) - picture).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 * picture.pow(2).mean()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_every_picture_has_a_score_and_a_map(batch: int) -> None:
    score, unusual = reconstruction()(torch.randn(batch, 3, SIDE, SIDE))
    assert score.shape == (batch,)
    assert unusual.shape == (batch, SIDE, SIDE)


def test_good_pictures_are_one_on_average() -> None:
    detector = reconstruction()
    assert detector(good_pictures())[1].mean().item() == pytest.approx(1, rel=0.05)


def test_what_cannot_be_redrawn_is_shown_where_it_is() -> None:
    detector, pictures = reconstruction(), good_pictures(3)
    usual = detector(pictures)[0]
    pictures[..., 18:26, 6:14] = 3
    score, unusual = detector(pictures)
    assert score.min() > 2 * usual.max()
    for map_ in unusual:
        row, column = divmod(int(map_.argmax()), SIDE)
        assert 16 <= row < 28
        assert 4 <= column < 16


def test_pictures_that_are_redrawn_perfectly_divide_by_no_zero() -> None:
    detector = reconstruction()
    detector.autoencoder = torch.nn.Identity()  # type: ignore[assignment]
    detector.measure([good_pictures()])
    assert torch.isfinite(detector(good_pictures())[0]).all()
