"""Every image network in the table keeps the promises of all; a new one is tested by being there."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.datatypes import DataType
from models.errors import UsageError
from models.manifest import TensorSpec
from tests.training.networks.image_networks import SMALL, small_config, small_network
from training import export
from training.networks import registry
from training.networks.layers import HasOwnLoss
from training.predict import onnx_predict, torch_predict
from training.work import ExportPlan

NAMES = list(registry.NETWORKS)
CLASSES = 5
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread_and_the_same_weights_every_time() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small layers on a busy machine wait for each other otherwise
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def test_the_table_holds_what_the_tests_know() -> None:
    assert set(NAMES) == set(SMALL)
    assert all(entry.summary and entry.name == name for name, entry in registry.NETWORKS.items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("side", "channels"), [(8, 1), (30, 1), (32, 1), (32, 3), (64, 1), (64, 3)]
)
def test_pictures_of_any_side_become_logits(name: str, side: int, channels: int) -> None:
    network = small_network(name, channels, side).eval()
    rows = torch.randn(3, channels, side, side)
    with torch.no_grad():
        together, alone = network(rows), network(rows[1:2])
    assert together.shape == (3, CLASSES)
    assert bool(together.isfinite().all())
    assert float(together.std()) > 0
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_the_papers_size_become_logits(name: str) -> None:
    network = small_network(name, 3, 224).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 224, 224)).shape == (1, CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_stands_in_one_layer_group_and_the_head_in_the_last(name: str) -> None:
    network = small_network(name, 3, 32)
    groups = network.layer_groups()
    listed = [id(weight) for group in groups for weight in group]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(weight) for weight in network.parameters()}
    assert len(groups) >= 3
    sized = [weight.shape[0] for weight in groups[-1]]
    assert CLASSES in sized or isinstance(network, HasOwnLoss)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name: str) -> None:
    network = small_network(name, 3, 32, "dropout=0").train()
    image, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % CLASSES
    for _ in range(2):  # the second step reaches what norms that begin at zero hide at first
        for weight in network.parameters():
            weight.grad = None
        if isinstance(network, HasOwnLoss):
            loss = network.training_loss(image, labels)
        else:
            loss = torch.nn.functional.cross_entropy(network(image), labels)
        loss.backward()
        with torch.no_grad():
            for weight in network.parameters():
                assert weight.grad is not None
                weight -= 0.01 * weight.grad
    still = [
        key
        for key, weight in network.named_parameters()
        if weight.grad is None or not bool((weight.grad != 0).any())
    ]
    assert still == []


@pytest.mark.parametrize("name", NAMES)
def test_a_handful_of_pictures_is_learned(name: str) -> None:
    network = small_network(name, 1, 16, "dropout=0").train()
    image, labels = torch.randn(10, 1, 16, 16), torch.arange(10) % CLASSES
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        if isinstance(network, HasOwnLoss):
            loss = network.training_loss(image, labels)
        else:
            loss = torch.nn.functional.cross_entropy(network(image), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("side", "channels"), [(32, 1), (64, 3)])
def test_the_exported_graph_answers_as_torch_at_every_batch_size(
    name: str, side: int, channels: int
) -> None:
    network = small_network(name, channels, side).eval()
    plan = ExportPlan(
        network,
        (TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", channels, side, side)),),
        (TensorSpec(name="logits", dtype=DataType.FLOAT, shape=("batch", CLASSES)),),
    )
    rows = np.random.default_rng(0).normal(size=(7, channels, side, side)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        export.export(plan, {"image": rows[:2]}, graph)
        ask, expect = onnx_predict(graph), torch_predict(plan, CPU)
        for batch in (1, 2, 5, 7):
            given: Mapping[str, np.ndarray] = {"image": rows[:batch]}
            np.testing.assert_allclose(
                ask(given)["logits"], expect(given)["logits"], atol=1e-4, rtol=1e-4
            )


def test_a_setting_of_another_family_is_refused_not_ignored() -> None:
    with pytest.raises(UsageError, match=r"vit\.\* is set, but network is lenet"):
        small_config("lenet", "vit.layers=3")


@pytest.mark.parametrize("name", ["resnet50", "timm:", "timm:../x", ""])
def test_an_unknown_network_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="alexnet") as caught:
        small_config(name)
    assert "timm:NAME" in caught.value.message


def test_listing_the_networks_imports_none() -> None:
    code = (
        "import sys; from training.networks import registry; import training.tasks.image_settings;"
        "print([m for m in ('torch', 'transformers', 'timm') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
