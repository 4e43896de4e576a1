"""The strict reader refuses whatever is not exactly what was published."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import Bundle, open_bundle
from models.errors import BundleMissing, IntegrityError, ManifestInvalid
from models.manifest import ManifestDraft
from models.publish import publish


@pytest.fixture
def bundle(tmp_path: Path, draft: ManifestDraft, stage: Callable[..., Path]) -> Bundle:
    return publish(tmp_path / "repo", draft, stage())


def test_every_flipped_byte_is_noticed(bundle: Bundle) -> None:
    path = bundle.path / "model.onnx"
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(IntegrityError, match="another checksum"):
            open_bundle(bundle.path)
        with pytest.raises(IntegrityError, match="another checksum"):
            bundle.read("model.onnx")


def test_a_truncated_file_is_noticed(bundle: Bundle) -> None:
    (bundle.path / "model.onnx").write_bytes(b"weig")
    with pytest.raises(IntegrityError, match="another size"):
        open_bundle(bundle.path)


def test_a_missing_file_is_named(bundle: Bundle) -> None:
    (bundle.path / "golden.npz").unlink()
    with pytest.raises(IntegrityError, match=r"golden\.npz"):
        open_bundle(bundle.path)


def test_an_extra_file_is_named(bundle: Bundle) -> None:
    (bundle.path / "plots" / "sneaky.py").write_text("print('hello')")
    with pytest.raises(IntegrityError, match=r"plots/sneaky\.py"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_link_is_refused_even_with_the_right_content(
    bundle: Bundle, tmp_path: Path, link: str
) -> None:
    path, elsewhere = bundle.path / "model.onnx", tmp_path / "elsewhere"
    elsewhere.write_bytes(path.read_bytes())
    path.unlink()
    if link == "symbolic":
        path.symlink_to(elsewhere)
    else:
        os.link(elsewhere, path)
    with pytest.raises(IntegrityError):
        open_bundle(bundle.path)
    with pytest.raises(IntegrityError):
        bundle.read("model.onnx")


def test_a_linked_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "plots").rename(tmp_path / "plots")
    (bundle.path / "plots").symlink_to(tmp_path / "plots")
    with pytest.raises(IntegrityError, match="plots"):
        open_bundle(bundle.path)


def test_a_fifo_does_not_block_the_reader(bundle: Bundle) -> None:
    (bundle.path / "model.onnx").unlink()
    os.mkfifo(bundle.path / "model.onnx")
    with pytest.raises(IntegrityError, match="not a plain file"):
        open_bundle(bundle.path)


def test_a_repository_reached_through_a_link_is_welcome(bundle: Bundle, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.symlink_to(bundle.path.parent.parent)
    assert open_bundle(mounted / "tiny" / "1").manifest == bundle.manifest


def test_a_bundle_in_the_wrong_folder_is_refused(bundle: Bundle) -> None:
    moved = bundle.path.rename(bundle.path.with_name("2"))
    with pytest.raises(ManifestInvalid, match="must lie in the folder"):
        open_bundle(moved)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"surprise": True}, "surprise"),
        ({"version": 0}, "version"),
        ({"files": {}}, "model.onnx"),
        ({"inputs": []}, "inputs"),
        ({"name": "../evil"}, "name"),
    ],
)
def test_a_manifest_against_the_schema_names_the_field(
    bundle: Bundle, change: dict[str, object], complaint: str
) -> None:
    path = bundle.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ManifestInvalid, match=complaint.replace(".", r"\.")):
        open_bundle(bundle.path)


def test_a_file_outside_the_manifest_cannot_be_read(bundle: Bundle) -> None:
    for name in ("manifest.json", "../1/model.onnx", "/etc/passwd"):
        with pytest.raises(IntegrityError, match="not in the manifest"):
            bundle.read(name)


def test_a_missing_version_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleMissing, match="no version 7 of model 'tiny'"):
        open_bundle(bundle.path.with_name("7"))


def test_public_text_never_shows_the_servers_files(bundle: Bundle) -> None:
    (bundle.path / "model.onnx").write_bytes(b"x")
    with pytest.raises(IntegrityError) as caught:
        open_bundle(bundle.path)
    assert "model.onnx" in caught.value.message
    assert "model.onnx" not in caught.value.public
