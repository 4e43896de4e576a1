"""Weights beside the file: only from below its folder, only plain files, only what the shapes take."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from service.importing.errors import ExternalDataRefused
from service.importing.external import WEIGHTS_FILE, copy_weights
from service.importing.graph import read_facts
from tests.service.importing import foreign

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def copied(file: Path, target: Path) -> bytes:
    model = memoryview(file.read_bytes())
    return bytes(copy_weights(model, read_facts(model), file.parent, target))


def run(model: bytes, target: Path) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    data = (target / WEIGHTS_FILE).read_bytes()
    options.add_external_initializers_from_files_in_memory([WEIGHTS_FILE], [data], [len(data)])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0]


@pytest.mark.parametrize("location", ["weights.bin", "deep/er/w", "odd name ü.bin"])
def test_the_copy_answers_as_the_original(location: str, tmp_path: Path) -> None:
    made = foreign.linear()
    whole = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run(None, {"x": X})[0]
    (tmp_path / "in" / Path(location).parent).mkdir(parents=True)
    file = foreign.save_outside(made, tmp_path / "in" / "m.onnx", location)
    model = copied(file, tmp_path)
    [tensor] = onnx.load_from_string(model).graph.initializer
    entries = {entry.key: entry.value for entry in tensor.external_data}
    assert entries == {"location": WEIGHTS_FILE, "offset": "0", "length": "48"}
    np.testing.assert_array_equal(run(model, tmp_path), whole)


def test_only_what_is_used_is_copied(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal(12).astype(np.float32)
    (tmp_path / "w").write_bytes(b"secret" * 100 + weights.tobytes() + b"secret")
    made = foreign.point(foreign.linear(), location="w", offset="600", length="48", checksum="any")
    model = copied(foreign.save(made, tmp_path / "m.onnx"), tmp_path)
    assert b"secret" not in (tmp_path / WEIGHTS_FILE).read_bytes()
    np.testing.assert_allclose(run(model, tmp_path), X @ weights.reshape(4, 3), rtol=1e-5)


def test_a_model_in_one_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = foreign.save(foreign.linear(), tmp_path / "m.onnx")
    assert copied(file, tmp_path) == file.read_bytes()
    assert not (tmp_path / WEIGHTS_FILE).exists()


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("/etc/passwd", "plain relative path"),
        ("../secret", "plain relative path"),
        ("a/../../secret", "plain relative path"),
        ("./w", "plain relative path"),
        ("a//w", "plain relative path"),
        ("", "plain relative path"),
        (".", "plain relative path"),
        ("..\\secret", "plain relative path"),
        ("w\0", "plain relative path"),
        ("nothing", "No such file"),
        ("symbolic", "w"),
        ("hard", "links and devices"),
        ("pipe", "links and devices"),
        ("folder", "links and devices"),
        ("through/w", "through/w: "),
        ("*/_ORT_MEM_ADDR_/*", "No such file"),
    ],
)
def test_locations_that_lead_elsewhere_are_refused(location: str, why: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"s" * 48)
    (folder / "symbolic").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", folder / "hard")
    os.mkfifo(folder / "pipe")
    (folder / "real").mkdir()
    (folder / "real" / "w").write_bytes(b"s" * 48)
    (folder / "through").symlink_to(folder / "real")
    file = foreign.save(foreign.point(foreign.linear(), location=location), folder / "m.onnx")
    with pytest.raises(ExternalDataRefused, match=why):
        copied(file, tmp_path)


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "w", "offset": "-1"},
        {"location": "w", "offset": "1"},
        {"location": "w", "length": "47"},
        {"location": "w", "length": "49"},
        {"location": "w", "length": "-48"},
        {"location": "w", "length": "9" * 30},
        {"location": "w", "offset": "٣"},
        {"location": "w", "offset": "0x0"},
        {"location": "w", "__class__": "x"},
        {"location": "w", "basepath": "/"},
        {"offset": "0"},
    ],
)
def test_entries_that_are_unknown_or_do_not_add_up_are_refused(
    entries: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "w").write_bytes(b"s" * 48)
    file = foreign.save(foreign.point(foreign.linear(), **entries), tmp_path / "m.onnx")
    with pytest.raises(ExternalDataRefused):
        copied(file, tmp_path)


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    made = foreign.point(foreign.linear(), location="w")
    made.graph.initializer[0].external_data.add(key="location", value="v")
    model = memoryview(made.SerializeToString())
    with pytest.raises(Exception, match="'location' twice"):
        read_facts(model)
