"""The gallery: searched by likeness, read strictly."""

import io
from pathlib import Path

import numpy as np
import pytest

from models.errors import ManifestInvalid
from models.gallery import GALLERY_FILE, NAMES_FILE, Gallery, read_gallery
from tests.service.picture_bundles import GALLERY, GREEN, RED, SAME, embedder_bundle


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def test_names_come_once_each_by_their_most_alike_entry() -> None:
    found = GALLERY.search((RED + 2 * GREEN) / np.float32(5**0.5), 3)
    assert [name for name, _ in found] == ["rose", "leaf", "sky"]
    assert [cosine for _, cosine in found] == pytest.approx([3 / 10**0.5, 2 / 5**0.5, 0])
    assert len(GALLERY.search(RED, 2)) == 2
    assert len(GALLERY.search(RED, 50)) == 3


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    found = read_gallery(embedder_bundle(tmp_path / "repository"), SAME, 3)
    assert found is not None
    assert found.names == GALLERY.names
    assert np.array_equal(found.vectors, GALLERY.vectors)


def test_a_bundle_may_have_none(tmp_path: Path) -> None:
    bundle = embedder_bundle(tmp_path / "repository", gallery=None)
    block = SAME.model_copy(update={"gallery": None, "gallery_names": None})
    assert read_gallery(bundle, block, 3) is None
    with pytest.raises(ManifestInvalid, match="one of them is missing"):
        read_gallery(bundle, SAME.model_copy(update={"gallery": None}), 3)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no archive", "cannot be read"),
        (npz(vectors=np.array([{}], dtype=object)), "cannot be read"),
        (npz(other=np.eye(3, dtype=np.float32)), "one array, vectors"),
        (npz(vectors=np.eye(3, dtype=np.float32), more=np.eye(3)), "one array, vectors"),
        (npz(vectors=np.eye(3)), "float32 of two axes"),
        (npz(vectors=np.eye(4, dtype=np.float32)), r"\[4, 4\], expected \[4 names, 3 dimensions\]"),
        (npz(vectors=np.eye(3, dtype=np.float32)), r"\[3, 3\], expected \[4 names"),
        (npz(vectors=np.full((4, 3), np.nan, np.float32)), "must have length 1"),
        (npz(vectors=np.ones((4, 3), np.float32)), "must have length 1"),
    ],
)
def test_another_file_is_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    bundle = embedder_bundle(tmp_path / "repository", files={GALLERY_FILE: content})
    with pytest.raises(ManifestInvalid, match=complaint):
        read_gallery(bundle, SAME, 3)


def test_names_may_be_in_any_script(tmp_path: Path) -> None:
    gallery = Gallery(np.stack([RED, GREEN]), ("Ünïcode 名", "שם"))
    gallery.save(tmp_path)
    assert (tmp_path / NAMES_FILE).read_text(encoding="utf-8") == "Ünïcode 名\nשם\n"
