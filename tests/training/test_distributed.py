"""Two processes train one model: as one process would with the same batches, and one of them publishes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.errors import UsageError
from training.distributed import World, world

STARTED = {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
SMALL = (
    "decoder.width=32",
    "decoder.heads=2",
    "decoder.kv_heads=1",
    "decoder.layers=1",
    "decoder.hidden=48",
    "decoder.context=32",
    "vocabulary=300",
    "epoch_windows=16",
    "judged_overlap=0",
    "precision=fp32",
    "cpu_threads=1",
    "gates.beats=",
)


def test_a_run_of_its_own_is_the_first_and_only_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert world() == World()
    assert world().is_first


def test_torchrun_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    assert world() == World(rank=1, size=4, local_size=2)
    assert not world().is_first
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(UsageError, match="RANK"):
        world()


def train(
    folder: Path, *launcher: str, settings: tuple[str, ...] = (), resume: bool = False
) -> str:
    """`slipway train` in processes of its own; what they printed."""
    given = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    places = ["--repository", str(folder / "repository"), "--runs", str(folder / "runs")]
    start = [sys.executable, "-m", *launcher, "slipway", "train", "language-model"]
    own = given if not resume else [word for item in settings for word in ("--set", item)]
    data = [] if resume else ["--data", str(folder.parent / "song.txt")]
    done = subprocess.run(
        [*start, *data, *places, *own, *(["--resume"] if resume else [])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "runs/language-model/last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_learn_what_one_does_and_one_publishes(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text(
        "".join(f"{n} green bottles hanging on the wall,\n" for n in range(300))
    )
    together, alone = tmp_path / "together", tmp_path / "alone"
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    train(together, *torchrun, settings=("batch_size=2", "epochs=1"))
    train(alone, settings=("batch_size=4", "epochs=1"))
    for name, value in weights(alone).items():
        assert torch.allclose(weights(together)[name], value, atol=2e-3), name
    assert [path.name for path in (together / "repository/language-model").glob("[0-9]*")] == ["1"]

    printed = train(together, *torchrun, settings=("epochs=2",), resume=True)
    assert printed.count("published language-model version 2") == 1
    before = weights(alone)["network.embedding.weight"]
    assert not torch.equal(weights(together)["network.embedding.weight"], before)
