"""A language model's run is one run however often it is interrupted; checkpoints say what they hold."""

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.training.fake_work import silent_reporter
from training import recipes, train
from training.data.byte_tokenizer import END_OF_TEXT_ID
from training.data.windows import IGNORED
from training.decoder_checkpoint import load_decoder
from training.errors import Interrupted
from training.runs import RunFolder
from training.settings import with_settings
from training.tasks.generation_settings import TextGenerationConfig
from training.tasks.language_module import LanguageModule
from training.tasks.text_generation import TextGenerationWork

SMALL = (
    "decoder.width=32",
    "decoder.heads=2",
    "decoder.kv_heads=1",
    "decoder.layers=1",
    "decoder.hidden=48",
    "decoder.context=32",
    "decoder.dropout=0.1",
    "vocabulary=300",
    "batch_size=2",
    "accumulate_batches=2",
    "epoch_windows=24",
    "epochs=2",
    "cpu_threads=1",
    "precision=fp32",
)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "song.txt"
    path.write_text("".join(f"{n} green bottles hanging on the wall,\n" for n in range(300)))
    return path


def prepared(song: Path, *settings: str) -> TextGenerationWork:
    small = with_settings(recipes.get("language-model").build_config(), SMALL)
    config = with_settings(small, settings)
    assert isinstance(config, TextGenerationConfig)
    work = TextGenerationWork(config, song)
    train.seed_everything(0)
    work.prepare()
    return work


def folder_in(root: Path) -> RunFolder:
    folder = RunFolder(root, "run")
    folder.path.mkdir(parents=True)
    return folder


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.named_parameters()}


def test_a_run_interrupted_within_an_epoch_ends_with_the_very_weights(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = silent_reporter()[0]
    straight = train.train(prepared(song), folder_in(tmp_path / "a"), report, resume=False)

    plain = LanguageModule.training_step

    def interrupted(self: LanguageModule, batch: object, number: int) -> torch.Tensor:
        if self.trainer.global_step == 8 and number % 2:  # within the second epoch, once
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, batch, number)  # type: ignore[arg-type]

    folder = folder_in(tmp_path / "b")
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModule, "training_step", interrupted)
        with pytest.raises(Interrupted, match="step 9"):
            train.train(prepared(song), folder, report, resume=False)
    torch.rand(5)  # whatever else drew random numbers in between
    resumed = train.train(prepared(song), folder, report, resume=True)

    expected = weights(straight.module)
    for name, value in weights(resumed.module).items():
        assert torch.equal(value, expected[name]), name


def test_a_checkpoint_holds_weights_sizes_and_tokenizer(song: Path, tmp_path: Path) -> None:
    work = prepared(song, "epochs=1")
    folder = folder_in(tmp_path)
    trained = train.train(work, folder, silent_reporter()[0], resume=False)
    found = load_decoder(str(folder.path))
    assert found.config == work.config.decoder
    assert found.tokenizer.to_str() == work.tokenizer.to_str()
    assert isinstance(trained.module, LanguageModule)
    assert set(found.weights) == set(trained.module.network.state_dict())


def test_texts_that_share_a_window_are_kept_apart_and_a_whole_one_costs_no_mask(song: Path) -> None:
    module = prepared(song).lightning_module()
    ids = torch.tensor([[END_OF_TEXT_ID, 5, 6, END_OF_TEXT_ID, 7, 8]])
    documents = module._documents(ids)
    assert documents is not None
    assert documents.tolist() == [[1, 1, 1, 2, 2, 2]]
    assert module._documents(ids[:, :3]) is None
    mixed = prepared(song, "isolate_documents=false").lightning_module()
    assert mixed._documents(ids) is None


def test_places_that_do_not_count_have_no_gradient(song: Path) -> None:
    module = prepared(song, "decoder.dropout=0").lightning_module()
    ids = torch.arange(1, 9)[None]
    targets = torch.full_like(ids, IGNORED)
    targets[0, 3] = 5
    logits = module.network(ids)[0, 3]
    expected = torch.nn.functional.cross_entropy(logits[None], torch.tensor([5]))
    assert torch.allclose(module._loss((ids, targets)), expected)
