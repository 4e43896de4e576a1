"""Image folders and archives: what is accepted is read whole, every mistake is named."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.blocks import ImagePreprocessing
from training.data.image_folder import ImageFolder
from training.data.picture_files import read_source
from training.errors import DataError

BLOCK = ImagePreprocessing(input="image", height=8, width=8)
CIFAR = Path(__file__).parents[4] / "shared" / "data" / "cifar10.tar.gz"


def png(shade: int, *, mode: str = "RGB", side: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (side, side), shade if mode == "L" else (shade, 0, 255 - shade)).save(
        out, "PNG"
    )
    return out.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pictures(*, test: bool = True, top: str = "", mode: str = "RGB") -> dict[str, bytes]:
    splits = ("train", "test") if test else ("train",)
    return {
        f"{top}{split}/{name}/{number}.png": png(40 * number, mode=mode)
        for split in splits
        for name in ("cat", "dog")
        for number in range(5)
    }


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("top", ["", "photos/"])
def test_a_folder_and_its_archive_are_the_same_data(tmp_path: Path, top: str) -> None:
    files = pictures(top=top)
    folder = ImageFolder(write(tmp_path / "folder", files)).read(BLOCK, 0)
    packed = ImageFolder(archive(tmp_path / "folder.tar.gz", files)).read(BLOCK, 0)
    assert folder.class_names == packed.class_names == ("cat", "dog")
    assert folder.sha256 == packed.sha256
    assert np.array_equal(folder.train.pixels, packed.train.pixels)
    assert (len(folder.train), len(folder.test)) == (10, 10)


def test_a_zip_is_read_like_a_tar_and_refused_like_one(tmp_path: Path) -> None:
    files = pictures(top="photos/")
    with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    folder = ImageFolder(write(tmp_path / "folder", files))
    assert ImageFolder(tmp_path / "data.zip").sha256 == folder.sha256
    whole = (tmp_path / "data.zip").read_bytes()
    (tmp_path / "flipped.zip").write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    with pytest.raises(DataError, match=r"flipped\.zip"):
        ImageFolder(tmp_path / "flipped.zip")
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as packed:
        packed.writestr("../evil.png", png(1))
    with pytest.raises(DataError, match="points outside"):
        read_source(tmp_path / "up.zip")
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as packed:
        link = zipfile.ZipInfo("train/cat/0.png")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        read_source(tmp_path / "link.zip")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_a_validation_folder_is_kept_apart_from_the_rest(tmp_path: Path, name: str) -> None:
    files = pictures() | {f"{name}/cat/{number}.png": png(9) for number in range(3)}
    data = ImageFolder(write(tmp_path, files)).read(BLOCK, 0)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 3, 10)


def test_numbers_as_class_names_are_sorted_as_numbers(tmp_path: Path) -> None:
    files = {f"{label}/{number}.png": png(number) for label in (10, 9, 1) for number in range(3)}
    assert ImageFolder(write(tmp_path, files)).class_names == ("1", "9", "10")


def test_without_a_test_folder_a_stated_part_of_each_class_is_held_out(tmp_path: Path) -> None:
    data = ImageFolder(write(tmp_path, pictures(test=False))).read(BLOCK, 0)
    assert np.bincount(data.test.labels).tolist() == [1, 1]
    assert "held out" in data.note
    again = ImageFolder(tmp_path).read(BLOCK, 0)
    assert np.array_equal(data.test.pixels, again.test.pixels)


def test_folders_of_classes_alone_are_enough(tmp_path: Path) -> None:
    files = {name.removeprefix("train/"): value for name, value in pictures(test=False).items()}
    assert ImageFolder(write(tmp_path, files)).class_names == ("cat", "dog")


@pytest.mark.parametrize(("mode", "is_grey"), [("L", True), ("RGB", False)])
def test_size_and_colour_come_from_the_pictures(tmp_path: Path, mode: str, is_grey: bool) -> None:
    traits = ImageFolder(write(tmp_path, pictures(mode=mode))).traits()
    assert (traits.side, traits.is_grey) == (8, is_grey)


def test_what_file_managers_leave_behind_is_nobodys_data(tmp_path: Path) -> None:
    litter = {".DS_Store": b"x", "train/cat/Thumbs.db": b"x", "__MACOSX/train/cat/._0.png": b"x"}
    assert len(ImageFolder(write(tmp_path, pictures() | litter)).pictures) == 20


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train/cat/bad.png": b"no"}, "train/cat/bad.png: not a picture"),
        ({"train/cat/cut.png": png(9, side=64)[:90]}, "train/cat/cut.png"),
        ({"train/cat/notes.txt": b"hello"}, "train/cat/notes.txt"),
        ({"train/stray.png": png(1)}, "train/stray.png is not where a picture belongs"),
        ({"test/bird/0.png": png(1)}, "class 'bird' is in test/ but not in train/"),
        ({"train/bird/0.png": png(1)}, "class 'bird' has 1 pictures"),
    ],
)
def test_a_bad_file_among_good_ones_is_named(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        ImageFolder(write(tmp_path, pictures() | files)).read(BLOCK, 0)
    assert message in caught.value.message
    assert caught.value.exit_code == 2


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, pictures())
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(DataError, match="train/empty is empty"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("names", [[], ["train/only/0.png", "train/only/1.png"]])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, names: list[str]) -> None:
    write(tmp_path, {name: png(3) for name in names})
    with pytest.raises(DataError, match="expected train/<class>/<picture>"):
        ImageFolder(tmp_path)


def test_an_archive_can_neither_climb_out_nor_link(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="points outside"):
        read_source(archive(tmp_path / "up.tar.gz", {"../evil.png": b"x"}))
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        member = tarfile.TarInfo("train/cat/0.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(DataError, match="is a link"):
        read_source(tmp_path / "link.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.tar", "up.tar.gz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x1f\x8b\x08 cut"])
def test_a_file_that_is_no_archive_is_refused_with_the_remedy(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "data.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a folder or an archive|holds no pictures"):
        ImageFolder(tmp_path / "data.zip")


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "data.tar.gz", pictures()).read_bytes()
    (tmp_path / "data.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"data\.tar\.gz"):
        ImageFolder(tmp_path / "data.tar.gz")


@pytest.mark.skipif(not CIFAR.exists(), reason="the shared CIFAR-10 archive is not here")
def test_the_cifar_archive_is_read_as_it_is() -> None:
    folder = ImageFolder(CIFAR)
    assert (len(folder.class_names), folder.traits().side, folder.has_test) == (10, 32, True)
    assert len(folder.pictures) == 12_000
