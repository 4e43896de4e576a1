from collections.abc import Iterator

import pytest
import torch

from training.networks.unet import Unet
from training.train import cpu_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (8, 9), (50, 16)])
def test_the_answer_has_the_pictures_size_whatever_it_is(height: int, width: int) -> None:
    network = Unet(classes=5, width=4, depth=3, dropout=0.1).eval()
    for batch in (1, 2):
        logits = network(torch.randn(batch, 3, height, width))
        assert logits.shape == (batch, 5, height, width)


def test_every_weight_stands_in_exactly_one_group() -> None:
    network = Unet(classes=2, width=4, depth=2)
    grouped = [id(weight) for group in network.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in network.parameters())


def test_one_picture_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    network = Unet(classes=3, width=4, depth=2)
    image, mask = torch.randn(1, 3, 8, 8), torch.randint(0, 3, (1, 8, 8))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(image), mask)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (network(image).argmax(dim=1) == mask).float().mean() > 0.9
