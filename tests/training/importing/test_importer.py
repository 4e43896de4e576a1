"""An import publishes all or nothing, says where the weights come from, and never asks the network."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import UsageError
from tests.training.fake_work import silent_reporter
from tests.training.importing.checkpoints import named, picture_parts, save, text_network
from tests.training.importing.served import imported, silenced
from training import predict
from training.errors import DataError, GateFailed
from training.importing import importer
from training.importing.checkpoint import open_checkpoint
from training.importing.importer import Request, default_name, import_checkpoint
from training.work import Array, Arrays


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    folder = save(tmp_path / "my vit", *picture_parts("ViT"))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def test_the_bundle_says_where_it_comes_from(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    bundle = imported(vit)
    origin = bundle.manifest.provenance
    assert origin is not None
    assert bundle.manifest.evaluation == ()  # nothing was measured here
    assert bundle.name == "my-vit"
    assert origin.config["source"] == "my vit"
    assert origin.config["licence"] == "mit"
    assert origin.config["architecture"] == "ViTForImageClassification"
    assert origin.config["files"] == open_checkpoint(str(vit)).files
    assert origin.versions["transformers"]
    library = next(gate for gate in bundle.manifest.gates if gate.name == "library-parity")
    assert 0 <= library.measured <= library.limit
    card = bundle.read_text("card.md")
    assert "| licence | mit |" in card
    assert str(vit.parent) not in card + bundle.manifest.model_dump_json()


def _wrong(ask: Callable[[Mapping[str, Array]], Arrays]) -> Callable[[Mapping[str, Array]], Arrays]:
    return lambda inputs: {name: array[:, ::-1] for name, array in ask(inputs).items()}


def test_a_bundle_that_answers_otherwise_than_its_library_is_not_published(
    vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels in another order: torch and ONNX Runtime agree, the library does not."""
    torch_side, onnx_side = predict.torch_predict, predict.onnx_predict
    monkeypatch.setattr(predict, "torch_predict", lambda *a: _wrong(torch_side(*a)))
    monkeypatch.setattr(predict, "onnx_predict", lambda *a: _wrong(onnx_side(*a)))
    with pytest.raises(GateFailed, match=r"library-parity.*nothing was published"):
        imported(vit)
    assert not (vit.parent / "repository").exists()


def test_an_interrupted_import_leaves_nothing(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch: list[Path] = []

    def interrupt(*arguments: Any, **_: Any) -> None:
        scratch.append(arguments[2].parent)
        assert scratch[0].is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(importer.export, "export", interrupt)
    with pytest.raises(KeyboardInterrupt):
        imported(vit)
    assert not scratch[0].exists()
    assert not (vit.parent / "repository").exists()


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("text-classification", "tokenizer"),
        ("object-detection", "vit makes scores and boxes"),
        ("sentence-embedding", "no modules.json"),
    ],
)
def test_another_task_than_the_checkpoints_is_refused(task: str, complaint: str, vit: Path) -> None:
    with pytest.raises(DataError, match=complaint):
        imported(vit, task=task)


def test_a_network_without_its_head_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "base", *text_network("Bert", "Model", **named("a", "b")))
    with pytest.raises(DataError, match=r"weights of BertForSequenceClassification are missing"):
        imported(folder, task="text-classification")


def test_pictures_without_a_word_on_how_to_read_them_are_refused(vit: Path) -> None:
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(DataError, match=r"no preprocessor_config\.json"):
        imported(vit)


def test_numbers_are_not_classes(tmp_path: Path) -> None:
    network = text_network("Bert", "ForSequenceClassification", problem_type="regression")
    folder = save(tmp_path / "mine", *network)
    with pytest.raises(DataError, match="text-similarity"):
        imported(folder)


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        ('[{"type": "os.system", "path": "x"}]', "stage 0 is a os.system"),
        ('[{"type": "sentence_transformers.models.Pooling", "path": ""}]', "must be a Transformer"),
        (
            '[{"type": "sentence_transformers.models.Transformer", "path": "../.."}]',
            "outside the checkpoint",
        ),
        ('{"type": 1}', "not a list of stages"),
    ],
)
def test_stages_are_checked_before_the_library_imports_them(
    stages: str, complaint: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "mine", *text_network("Bert", "Model"))
    (folder / "modules.json").write_text(stages)
    with pytest.raises(DataError, match=complaint):
        imported(folder)


def test_pickled_layers_behind_the_pooling_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", *text_network("Bert", "Model"))
    kinds = ("Transformer", "Pooling", "Dense")
    (folder / "modules.json").write_text(
        str([{"type": f"sentence_transformers.models.{kind}", "path": ""} for kind in kinds[:2]])
        .replace("'", '"')
        .replace("}]", '}, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]')
    )
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"2_Dense: its weights are pickled"):
        imported(folder)


def test_a_bad_name_or_place_is_told_before_the_work(vit: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not allowed"):
        imported(vit, name="a/b")
    file = tmp_path / "file"
    file.write_text("")
    with silenced(), pytest.raises(UsageError, match="not a folder"):
        import_checkpoint(Request(str(vit), file), silent_reporter()[0])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("who/what-base at abc", "what-base"),
        ("my folder (2)", "my-folder--2"),
        ("x" * 99, "x" * 64),
    ],
)
def test_the_name_is_made_of_the_source(source: str, name: str, vit: Path) -> None:
    assert default_name(replace(open_checkpoint(str(vit)), source=source)) == name


def test_a_source_without_a_letter_needs_a_name(vit: Path) -> None:
    with pytest.raises(UsageError, match="--name"):
        default_name(replace(open_checkpoint(str(vit)), source="…"))


def test_an_answer_that_is_not_a_number_fails_the_gate() -> None:
    kind: Any = type("Kind", (), {"measure": "gap", "limit": 1.0, "library": "the library"})
    row = importer.Difference("question", np.nan)
    with pytest.raises(GateFailed, match="differ by inf"):
        importer.judge(kind, [row], silent_reporter()[0])
