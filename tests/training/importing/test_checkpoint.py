"""What a checkpoint says of itself is read before anything of it is loaded, and what it lacks is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import UsageError
from training.errors import DataError
from training.importing.checkpoint import label_names, open_checkpoint
from training.importing.kinds import KINDS, kind_class, task_of
from training.importing.kinds.token_classification import tagging_scheme


def _folder(path: Path, readme: str = "", **config: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(b"weights")
    if readme:
        (path / "README.md").write_text(readme)
    return path


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ('---\nlicense: "mit"\n---\n', "mit"),
        ("# Model\nlicense: mit", None),
        ("---\ntags: x\n---\nlicense: mit", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_front_matter_names(
    readme: str, licence: str | None, tmp_path: Path
) -> None:
    assert open_checkpoint(str(_folder(tmp_path / "m", readme))).licence == licence


def test_files_are_hashed_and_where_they_lay_is_not_told(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "private" / "mine")
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    found = open_checkpoint(str(folder))
    assert found.source == "mine"
    assert sorted(found.files) == ["config.json", "model.safetensors"]
    before = found.sha256()
    (folder / "model.safetensors").write_bytes(b"Weights")
    assert open_checkpoint(str(folder)).sha256() != before


def test_a_snapshot_of_the_cache_is_named_by_its_id(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "models--who--what" / "snapshots" / "abc")
    assert open_checkpoint(str(folder)).source == "who/what at abc"


def test_code_that_comes_with_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="never run"):
        open_checkpoint(str(_folder(tmp_path / "m", auto_map={"AutoModel": "evil.Model"})))


def test_pickled_weights_alone_are_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model\.bin may hold code"):
        open_checkpoint(str(folder))


def test_an_id_that_is_not_on_this_machine_is_not_fetched() -> None:
    with pytest.raises(UsageError, match="nothing is downloaded"):
        open_checkpoint("someone/some-model")


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"architectures": ["BertForSequenceClassification"]}, "text-classification"),
        (
            {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}},
            "text-similarity",
        ),
        ({"architectures": ["BertForTokenClassification"]}, "token-classification"),
        ({"architectures": ["BertForQuestionAnswering"]}, "question-answering"),
        ({"architectures": ["ViTForImageClassification"]}, "image-classification"),
        ({"architectures": ["DetrForObjectDetection"]}, "object-detection"),
        ({"architectures": ["SegformerForSemanticSegmentation"]}, "semantic-segmentation"),
    ],
)
def test_the_architecture_tells_the_task(config: Any, task: str, tmp_path: Path) -> None:
    assert task_of(open_checkpoint(str(_folder(tmp_path / "m", **config)))) == task


def test_a_list_of_stages_makes_a_sentence_encoder(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "m", architectures=["BertModel"])
    with pytest.raises(UsageError, match=r"BertModel, which tells no task.*--task"):
        task_of(open_checkpoint(str(folder)))
    (folder / "modules.json").write_text("[]")
    assert task_of(open_checkpoint(str(folder))) == "sentence-embedding"


def test_an_unknown_task_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"image-classification.*object-detection"):
        kind_class("poetry")
    for entry in KINDS:
        assert kind_class(entry.task).task == entry.task


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ({"0": "a", "2": "b"}, "does not count"),
        ({"zero": "a"}, "not a number"),
        ({"0": "two\nlines"}, "not one line"),
        ({"0": ""}, "not one line"),
    ],
)
def test_labels_that_cannot_be_listed_are_refused(named: dict[str, str], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        label_names({"id2label": named})


def test_labels_come_in_class_order() -> None:
    assert label_names({"id2label": {"1": "b", "0": "a", "10": "c"} | _up_to(9)})[-1] == "c"
    assert label_names({}) == ["LABEL_0", "LABEL_1"]


def _up_to(last: int) -> dict[str, str]:
    return {str(number): str(number) for number in range(2, last + 1)}


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-PER", "I-PER"], "BIO"),
        (["O", "I-PER", "I-LOC"], "IO"),
        (["O", "B-X", "I-X", "E-X", "S-X"], "BIOES"),
        (["NOUN", "VERB"], "none"),
    ],
)
def test_tagging_schemes_are_told_by_their_prefixes(labels: list[str], scheme: str) -> None:
    assert tagging_scheme(labels) == scheme


def test_tags_half_with_and_half_without_prefix_are_refused() -> None:
    with pytest.raises(DataError, match="B-PER has one and LOC has not"):
        tagging_scheme(["O", "B-PER", "LOC"])
