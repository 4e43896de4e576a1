"""From a file to a bundle that a server takes: the whole way, for each task."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import slipway
from models.blocks import ClassificationPostprocessing, ImagePreprocessing, TextPreprocessing
from models.bundle import open_bundle
from models.errors import PublishError, UsageError
from models.golden import Golden
from service.importing.draft import ImportOptions
from service.importing.errors import ImportRefused
from service.importing.importer import import_onnx
from tests.service.bundles import byte_tokenizer
from tests.service.importing import foreign


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\nönd\n", "utf-8")
    return path


def imported(made: onnx.ModelProto, tmp_path: Path, **options: object) -> object:
    file = foreign.save(made, tmp_path / "in" / "m.onnx")
    return import_onnx(file, tmp_path / "repository", ImportOptions("m", **options)).bundle  # type: ignore[arg-type]


def command(*arguments: object) -> int:
    return slipway.main([str(argument) for argument in arguments])


def test_the_command_publishes_and_shows_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = foreign.save_outside(foreign.linear(), tmp_path / "in" / "m.onnx")
    repository = tmp_path / "repository"
    for version in (1, 2):
        assert command("import-onnx", file, "--name", "m", "--repository", repository) == 0
        text = capsys.readouterr().out
        assert f"published m version {version}" in text
        assert "input   x  FP32  [N, 4]" in text
        assert "up to 32 rows" in text
    bundle = open_bundle(repository / "m" / "2")
    assert set(bundle.manifest.files) == {"model.onnx", "model.onnx.data", "golden.npz"}
    assert command("predict", "m", '{"x": [1, 2, 3, 4]}', "--repository", repository, "--json") == 0
    [answer] = json.loads(capsys.readouterr().out)["predictions"]
    weight = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    np.testing.assert_allclose(answer["y"], np.array([1, 2, 3, 4], np.float32) @ weight, rtol=1e-5)


def test_a_file_named_through_a_link_is_read(tmp_path: Path) -> None:
    file = foreign.save(foreign.linear(), tmp_path / "blobs" / "0123")
    (tmp_path / "m.onnx").symlink_to(file)
    import_onnx(tmp_path / "m.onnx", tmp_path / "repository", ImportOptions("m"))


@pytest.mark.parametrize("is_softmax", [False, True])
def test_pictures_become_labels(
    is_softmax: bool, tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = foreign.save(foreign.picture_classifier(is_softmax=is_softmax), tmp_path / "m.onnx")
    repository = tmp_path / "repository"
    options = ["--task", "image-classification", "--labels", labels]
    options += ["--mean", "0.5,0.4,0.3", "--std", "0.2,0.3,0.4"]
    assert command("import-onnx", file, "--name", "m", "--repository", repository, *options) == 0
    manifest = open_bundle(repository / "m" / "1").manifest
    assert isinstance(manifest.postprocessing, ClassificationPostprocessing)
    assert manifest.postprocessing.is_probability is is_softmax
    Image.new("RGB", (8, 8), (200, 100, 50)).save(tmp_path / "p.png")
    capsys.readouterr()
    assert command("predict", "m", tmp_path / "p.png", "--repository", repository, "--json") == 0
    [answer] = json.loads(capsys.readouterr().out)["predictions"]
    pixel = (np.array([200, 100, 50]) / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    weight = np.random.default_rng(2).standard_normal((3, 3)).astype(np.float32)
    powers = np.exp(pixel @ weight)
    expected = dict(zip(["cat", "dog", "önd"], powers / powers.sum(), strict=True))
    scores = {entry["label"]: entry["score"] for entry in answer["labels"]}
    assert scores == pytest.approx(expected, abs=1e-4)


def test_pictures_of_any_size_need_one_and_are_examined_at_it(tmp_path: Path, labels: Path) -> None:
    made = foreign.picture_classifier(height="h", width="w")
    with pytest.raises(ImportRefused, match="--size"):
        imported(made, tmp_path, task="image-classification", labels=labels)
    bundle = imported(made, tmp_path, task="image-classification", labels=labels, size=(20, 10))
    block = bundle.manifest.preprocessing  # type: ignore[attr-defined]
    assert isinstance(block, ImagePreprocessing)
    assert (block.width, block.height) == (20, 10)
    golden = Golden.from_bytes(bundle.read("golden.npz"))  # type: ignore[attr-defined]
    assert golden.inputs["image"].shape == (3, 3, 10, 20)


def text_classifier(is_masked: bool) -> onnx.ModelProto:
    """Sum over the tokens of an embedding, masked or not."""
    table = np.random.default_rng(3).standard_normal((300, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["embedded", "mask3" if is_masked else "one"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["y"], keepdims=0),
    ]
    shape = ["batch", "tokens"]
    weights = {
        "table": table,
        "last": np.array([2]),
        "middle": np.array([1]),
        "one": np.ones(1, np.float32),
    }
    if not is_masked:
        nodes.append(helper.make_node("Identity", ["mask3"], ["unused"]))
    ids = foreign.value("input_ids", TensorProto.INT64, shape)
    mask = foreign.value("attention_mask", TensorProto.INT64, shape)
    return foreign.model(nodes, [ids, mask], [foreign.value("y", 1, ["batch", 3])], weights)


@pytest.mark.parametrize("is_masked", [True, False])
def test_texts_are_padded_only_where_padding_changes_nothing(
    is_masked: bool, tmp_path: Path, labels: Path
) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(byte_tokenizer())
    bundle = imported(
        text_classifier(is_masked), tmp_path, task="text-classification", labels=labels,
        tokenizer=tokenizer, max_tokens=64,
    )  # fmt: skip
    manifest = bundle.manifest  # type: ignore[attr-defined]
    assert isinstance(manifest.preprocessing, TextPreprocessing)
    assert manifest.preprocessing.max_tokens == 64
    padded = {spec.pad_axes for spec in manifest.inputs}
    assert padded == ({("tokens",)} if is_masked else {()})


@pytest.mark.parametrize(
    ("made", "options", "why"),
    [
        (foreign.picture_classifier(), {"task": "image-classification"}, "--labels"),
        (foreign.picture_classifier(classes=4), {"task": "image-classification"}, "3 labels"),
        (foreign.picture_classifier(channels=1), {"task": "image-classification"}, "--channel-order L"),
        (foreign.picture_classifier(height=5), {"task": "image-classification", "size": (8, 8)}, "8x5"),
        (foreign.linear(), {"task": "image-classification"}, "channels, height, width"),
        (foreign.linear(), {"task": "text-classification"}, "--tokenizer"),
        (foreign.linear(), {"task": "juggling"}, "known: tensor"),
        (foreign.picture_classifier(), {"task": "image-classification", "fit": "melt"}, "fit"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_of_the_task_is_refused_and_leaves_nothing(
    made: onnx.ModelProto, options: dict[str, object], why: str, tmp_path: Path, labels: Path
) -> None:
    given = dict(options)
    if why != "--labels":
        given["labels"] = labels
    with pytest.raises(ImportRefused, match=why):
        imported(made, tmp_path, **given)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08", b"{}", os.urandom(300), None])
def test_a_file_that_is_no_model_is_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.onnx"
    if content is not None:
        file.write_bytes(content)
    assert command("import-onnx", file, "--name", "m", "--repository", tmp_path / "r") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")


def test_mistakes_on_the_command_line_are_one_line_and_exit_2(tmp_path: Path) -> None:
    file = foreign.save(foreign.linear(), tmp_path / "m.onnx")
    for arguments in (
        ["--name", "../m"],
        ["--name", "m", "--mean", "a"],
        ["--name", "m", "--size", "0x3"],
        ["--name", "m", "--max-batch-size", "-1"],
        [],
    ):
        assert command("import-onnx", file, "--repository", tmp_path / "r", *arguments) == 2


def test_a_number_of_ones_own_must_be_free(tmp_path: Path) -> None:
    file = foreign.save(foreign.linear(), tmp_path / "m.onnx")
    bundle = import_onnx(file, tmp_path / "r", ImportOptions("m"), version=7).bundle
    assert bundle.version == 7
    with pytest.raises(PublishError, match="not above 7"):
        import_onnx(file, tmp_path / "r", ImportOptions("m"), version=7)
    with pytest.raises(UsageError):
        import_onnx(file, tmp_path / "r", ImportOptions("a/b"))


def test_a_sample_is_plain_arrays_or_refused(tmp_path: Path) -> None:
    made = foreign.linear(("N", "columns"), out=None, inner=77)
    np.savez(tmp_path / "s.npz", x=np.ones((3, 77), np.float32))
    imported(made, tmp_path, sample=tmp_path / "s.npz")
    np.savez(tmp_path / "bad.npz", x=np.array([{}], object))
    with pytest.raises(ImportRefused, match="plain arrays"):
        imported(made, tmp_path, sample=tmp_path / "bad.npz")
