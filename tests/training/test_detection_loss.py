from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from training.data.boxed_pictures import NO_OBJECT
from training.detection_loss import Truth, _giou, assign, centredness, detection_loss
from training.networks.fcos import Fcos
from training.train import cpu_threads

SIDE = 64


@pytest.fixture(scope="module")
def network() -> Fcos:
    torch.manual_seed(0)
    return Fcos(SIDE, classes=3, width=4, features=8, levels=2).eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


def truth(*objects: tuple[int, tuple[float, ...]], crowd: int | None = None) -> Truth:
    labels = torch.tensor([[label for label, _ in objects]])
    boxes = torch.tensor([[box for _, box in objects]], dtype=torch.float)
    return Truth(boxes, labels, torch.tensor([[row == crowd for row in range(len(objects))]]))


def cells_of(network: Fcos, labels: Tensor, label: int) -> Tensor:
    return network.centres[labels[0] == label]


def test_cells_near_an_objects_middle_answer_for_it(network: Fcos) -> None:
    targets = assign(network.centres, network.strides, truth((1, (8, 8, 32, 40))))
    answering = cells_of(network, targets.labels, 1)
    assert len(answering) > 0
    assert ((answering - torch.tensor([20.0, 24.0])).abs() < 1.5 * 8).all()
    assert set(targets.labels[0].tolist()) == {1, NO_OBJECT}
    row = int((targets.labels[0] == 1).nonzero()[0])
    x, y = network.centres[row].tolist()
    assert targets.distances[0, row].tolist() == [x - 8, y - 8, 32 - x, 40 - y]


def test_large_objects_are_for_the_coarse_level(network: Fcos) -> None:
    targets = assign(network.centres, network.strides, truth((0, (0, 0, 64, 64))))
    assert set(network.strides[targets.labels[0] == 0].tolist()) == {16.0}


def test_where_objects_lie_in_each_other_the_smaller_one_counts(network: Fcos) -> None:
    targets = assign(
        network.centres, network.strides, truth((0, (4, 4, 44, 44)), (2, (16, 16, 32, 32)))
    )
    assert (24.0, 24.0) not in [tuple(c) for c in cells_of(network, targets.labels, 0).tolist()]
    assert len(cells_of(network, targets.labels, 2)) > 0


def test_padding_is_nobodys_object(network: Fcos) -> None:
    targets = assign(network.centres, network.strides, truth((NO_OBJECT, (0, 0, 0, 0))))
    assert (targets.labels == NO_OBJECT).all()


def test_a_crowd_is_learned_neither_as_object_nor_as_background(network: Fcos) -> None:
    region = truth((1, (0, 0, 32, 32)), crowd=0)
    targets = assign(network.centres, network.strides, region)
    assert (targets.labels == NO_OBJECT).all()
    assert targets.unknown.any()
    cells = network.cells(torch.zeros(1, 3, SIDE, SIDE))
    sure = cells._replace(logits=torch.where(targets.unknown.unsqueeze(-1), 5.0, cells.logits))
    assert detection_loss(network, sure, region) < detection_loss(
        network, sure, truth((-1, (0,) * 4))
    )


def test_overlap_and_centredness_by_paper_and_pencil() -> None:
    given = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 1]])
    expected = torch.tensor([[1.0, 1, 1, 1], [1, 1, 3, 1]])
    # Second: shared 4, union 8, hull 8.
    assert _giou(given, expected).tolist() == pytest.approx([1, 0.5])
    skewed = torch.tensor([[1.0, 2, 4, 2]])
    assert centredness(skewed).item() == pytest.approx((1 / 4) ** 0.5)


def test_the_loss_falls_to_little_on_one_picture() -> None:
    torch.manual_seed(1)
    network = Fcos(SIDE, classes=2, width=8, features=8, levels=2)
    image, wanted = torch.randn(1, 3, SIDE, SIDE), truth((0, (8, 8, 32, 32)), (1, (36, 30, 60, 62)))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = detection_loss(network, network.cells(image), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    boxes, scores = network.eval()(image)
    best = boxes[0, scores[0, :, 0].argmax()].tolist()
    assert best == pytest.approx([8, 8, 32, 32], abs=8)


def test_a_batch_without_objects_has_a_finite_loss(network: Fcos) -> None:
    cells = network.cells(torch.zeros(1, 3, SIDE, SIDE))
    loss = detection_loss(network, cells, truth((NO_OBJECT, (0, 0, 0, 0))))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
