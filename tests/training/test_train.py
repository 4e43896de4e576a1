"""The loop: reproducible, resumable, stopped cleanly, and honest about broken runs."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from models.errors import UsageError
from tests.training.fake_work import (
    FakeModule,
    FakeWork,
    fake_config,
    prepared,
    silent_reporter,
)
from training import train
from training.data.loaders import array_loader
from training.errors import Interrupted, TrainingFailed
from training.runs import RunFolder


def folder_in(root: Path) -> RunFolder:
    folder = RunFolder(root, "fake")
    folder.path.mkdir(parents=True)
    return folder


def weights_after(root: Path, seed: int) -> dict[str, torch.Tensor]:
    work = FakeWork(fake_config(seed=seed), None)
    train.seed_everything(seed)
    work.prepare()
    trained = train.train(work, folder_in(root), silent_reporter()[0], resume=False)
    return dict(trained.module.state_dict())


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tmp_path: Path) -> None:
    first, again, other = (
        weights_after(tmp_path / name, seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_that_were_asked_for_are_kept(tmp_path: Path, keep: str) -> None:
    class Unlearning(FakeWork):
        """Validated on the opposite labels: the more it learns, the worse it gets."""

        def val_loader(self) -> DataLoader[Any]:
            return array_loader(self.rows, 1 - self.labels, batch_size=64, shuffle=False)

    work, folder = Unlearning(fake_config(epochs=3, keep=keep), None), folder_in(tmp_path)
    work.prepare()
    trained = train.train(work, folder, silent_reporter()[0], resume=False)
    losses = [loss for _, loss in trained.history["validation loss"]]
    assert losses[0] == min(losses) < losses[-1]
    best = torch.load(folder.best, weights_only=True)
    same = all(
        torch.equal(value, best[name]) for name, value in trained.module.state_dict().items()
    )
    assert same is (keep == "best")


def test_the_best_weights_are_returned_in_eval_mode_with_the_history(tmp_path: Path) -> None:
    report, text = silent_reporter()
    trained = train.train(prepared(epochs=3), folder_in(tmp_path), report, resume=False)
    assert not trained.module.training
    assert [step for step, _ in trained.history["validation loss"]] == [8, 16, 24]
    assert len(trained.history["train loss"]) == 24
    assert "epoch 3/3" in text.getvalue()


def test_ctrl_c_keeps_the_work_and_resume_ends_at_the_same_step(tmp_path: Path) -> None:
    work = prepared(epochs=3)
    work.on_step = lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 11 else None
    folder = folder_in(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        train.train(work, folder, silent_reporter()[0], resume=False)
    assert caught.value.exit_code == 130
    assert "--resume" in caught.value.message
    assert "step 12" in caught.value.message
    assert signal.getsignal(signal.SIGINT) == before

    resumed = train.train(prepared(epochs=3), folder, silent_reporter()[0], resume=True)
    steps = [step for step, _ in resumed.history["train loss"]]
    assert steps == list(range(1, 25))


def test_a_finished_run_resumes_straight_to_its_result(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    first = train.train(prepared(), folder, silent_reporter()[0], resume=False)
    again = train.train(prepared(), folder, silent_reporter()[0], resume=True)
    assert first.history == again.history
    weights = again.module.state_dict()
    assert all(
        torch.equal(weights[name], value) for name, value in first.module.state_dict().items()
    )


def test_a_loss_that_is_not_finite_ends_the_run_with_the_remedy(tmp_path: Path) -> None:
    work = prepared()
    work.rows[:] = float("nan")
    with pytest.raises(TrainingFailed, match=r"optim\.learning_rate"):
        train.train(work, folder_in(tmp_path), silent_reporter()[0], resume=False)


def test_a_run_shorter_than_an_epoch_is_validated_at_its_end(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    trained = train.train(prepared(max_steps=1), folder, silent_reporter()[0], resume=False)
    ((_, loss),) = trained.history["validation loss"]
    assert np.isfinite(loss)
    assert folder.best.is_file()


def recorded_steps(root: Path, **changes: Any) -> list[dict[str, torch.Tensor]]:
    """The weights before every optimiser step, over the rows in their order."""
    states: list[dict[str, torch.Tensor]] = []
    size = changes.get("batch_size", 16)

    class Ordered(FakeWork):
        def train_loader(self) -> DataLoader[Any]:
            return array_loader(self.rows, self.labels, batch_size=size, shuffle=False)

        def lightning_module(self) -> FakeModule:
            module = FakeModule(self.config, self.on_step)

            def keep(*_: Any) -> None:
                state = module.network.state_dict().items()
                states.append({name: value.clone() for name, value in state})

            module.on_before_zero_grad = keep  # type: ignore[assignment, method-assign]
            return module

    work = Ordered(fake_config(epochs=2, **changes), None)
    work.prepare()
    torch.manual_seed(0)
    train.train(work, folder_in(root), silent_reporter()[0], resume=False)
    return states


def test_four_batches_of_eight_accumulated_are_one_of_thirty_two_step_for_step(
    tmp_path: Path,
) -> None:
    whole = recorded_steps(tmp_path / "whole", batch_size=32)
    parts = recorded_steps(tmp_path / "parts", batch_size=8, accumulate_batches=4)
    assert len(whole) == len(parts) == 8
    for one, other in zip(whole, parts, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], atol=1e-6, rtol=0)
    assert not torch.equal(whole[0]["0.weight"], whole[-1]["0.weight"])


def test_steps_of_accumulated_batches_are_recorded_and_interrupted_whole(tmp_path: Path) -> None:
    work = prepared(epochs=3, accumulate_batches=4)
    batches = iter(range(99))

    def press_once(_: int) -> None:
        if next(batches) == 13:  # the second of the four that make the fourth step
            os.kill(os.getpid(), signal.SIGINT)

    work.on_step = press_once
    folder = folder_in(tmp_path)
    with pytest.raises(Interrupted, match="step 4"):
        train.train(work, folder, silent_reporter()[0], resume=False)
    resumed = train.train(
        prepared(epochs=3, accumulate_batches=4), folder, silent_reporter()[0], resume=True
    )
    assert [step for step, _ in resumed.history["train loss"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("clip", "bounded"), [(0.01, True), (0.0, False)])
def test_clipping_bounds_the_gradients_norm(tmp_path: Path, clip: float, bounded: bool) -> None:
    norms: list[float] = []

    class Watched(FakeWork):
        def lightning_module(self) -> FakeModule:
            module = FakeModule(self.config, self.on_step)

            def watch(*_: Any) -> None:
                grads = [weight.grad for weight in module.parameters()]
                parts = [grad.norm() for grad in grads if grad is not None]
                if parts:  # there are none before the first step
                    norms.append(float(torch.stack(parts).norm()))

            module.on_before_zero_grad = watch  # type: ignore[assignment, method-assign]
            return module

    work = Watched(fake_config(epochs=1, optim={"gradient_clip": clip}), None)
    work.prepare()
    train.train(work, folder_in(tmp_path), silent_reporter()[0], resume=False)
    assert len(norms) == 7
    assert (max(norms) <= 0.01 + 1e-6) is bounded
    assert min(norms) > 0


@pytest.mark.parametrize(
    ("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_mixed_precision_computes_in_it_and_keeps_whole_weights(
    tmp_path: Path, precision: str, expected: torch.dtype
) -> None:
    seen: set[torch.dtype] = set()

    class Watched(FakeWork):
        def lightning_module(self) -> FakeModule:
            module = FakeModule(self.config, self.on_step)
            module.network[0].register_forward_hook(lambda *parts: seen.add(parts[2].dtype))
            return module

    work = Watched(fake_config(precision=precision), None)
    work.prepare()
    trained = train.train(work, folder_in(tmp_path), silent_reporter()[0], resume=False)
    assert seen == {expected}
    assert {weight.dtype for weight in trained.module.parameters()} == {torch.float32}


def test_fp16_is_never_quietly_replaced_by_bf16() -> None:
    with pytest.raises(UsageError, match="bf16 or fp32 on a CPU"):
        train.resolve_device("cpu", "fp16")


@pytest.mark.parametrize("scheme", ["default", "xavier", "he"])
def test_first_weights_are_drawn_as_the_setting_says(tmp_path: Path, scheme: str) -> None:
    biases: list[float] = []

    class Watched(FakeWork):
        def lightning_module(self) -> FakeModule:
            module = FakeModule(self.config, self.on_step)
            bias = module.network.get_parameter("0.bias")
            module.on_step = lambda _: biases.append(float(bias.detach().abs().sum()))
            return module

    work = Watched(fake_config(initialisation=scheme), None)
    work.prepare()
    train.train(work, folder_in(tmp_path), silent_reporter()[0], resume=False)
    assert (biases[0] == 0) is (scheme != "default")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_never_quietly_replaced_by_the_cpu() -> None:
    with pytest.raises(UsageError, match="--device auto or cpu"):
        train.resolve_device("cuda")
    assert train.resolve_device("auto").type == "cpu"


def test_the_number_of_threads_is_given_back() -> None:
    before = torch.get_num_threads()
    with train.cpu_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
