"""`slipway fetch`: what was asked for, whole, or nothing; a second run finds the work done."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.catalog import scan
from models.download import download
from models.errors import BundleError, FetchError, UsageError
from models.fetch import fetch
from models.manifest import ManifestDraft
from models.publish import publish

Stage = Callable[[bytes], Path]


class Shelf(BaseHTTPRequestHandler):
    """Serves `content`, in parts when asked; `faults` are what the next answers do instead."""

    content = b""
    faults: list[str]
    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdigit():
            self.send_error(int(fault))
            return
        if fault.startswith("to "):
            self.send_response(302)
            self.send_header("Location", fault[3:])
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].rstrip("-"))
        part = self.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def shelf() -> Iterator[tuple[type[Shelf], str]]:
    handler = type("OneShelf", (Shelf,), {"faults": [], "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_address[1]}/tiny.tar.gz?signature=secret"
        server.shutdown()
        thread.join()


@pytest.fixture
def archive(draft: ManifestDraft, stage: Stage, tmp_path: Path) -> bytes:
    """tiny/1 and tiny/2."""
    source = tmp_path / "source"
    publish(source, draft, stage(b"one"))
    publish(source, draft, stage(b"two"))
    return pack(source, "tiny")


def pack(source: Path, *names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in names:
            tar.add(source / name, arcname=name)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_archives_versions_are_in_the_repository(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive
    lines = fetch(url, sha256(archive), tmp_path / "here", name="tiny")
    assert [line.split()[0] for line in lines] == ["tiny/1", "tiny/2"]
    listing = scan(tmp_path / "here")
    assert [(b.name, b.version) for b in listing.bundles] == [("tiny", 1), ("tiny", 2)]
    assert not listing.rejected
    assert list((tmp_path / "here" / ".fetch").iterdir()) == []


def test_a_second_run_asks_for_nothing(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive
    fetch(url, sha256(archive), tmp_path / "here")
    again = fetch(url, sha256(archive), tmp_path / "here")
    assert again == ["tiny/1 is already there", "tiny/2 is already there"]
    assert len(handler.seen) == 1


def test_what_was_damaged_since_is_not_taken_for_done(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive
    fetch(url, sha256(archive), tmp_path / "here")
    (tmp_path / "here" / "tiny" / "1" / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        fetch(url, sha256(archive), tmp_path / "here")


def test_other_bytes_than_the_pinned_ones_are_not_used(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive + b"more"
    with pytest.raises(FetchError, match=f"expected {sha256(archive)}: it is not used") as caught:
        fetch(url, sha256(archive), tmp_path / "here")
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "here" / "tiny").exists()


def test_an_interrupted_download_goes_on_where_it_was(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive
    handler.faults.extend(["503", "cut", "cut"])
    pauses: list[float] = []
    download(url, sha256(archive), tmp_path / "file", sleep=pauses.append)
    assert (tmp_path / "file").read_bytes() == archive
    assert pauses == [1, 2, 4]
    half = len(archive) // 2
    ranges = [request.get("range") for request in handler.seen]
    assert ranges == [None, None, f"bytes={half}-", f"bytes={half + (len(archive) - half) // 2}-"]


def test_a_server_that_stays_away_is_given_up_with_a_sentence(tmp_path: Path) -> None:
    pauses: list[float] = []
    url = "http://127.0.0.1:1/tiny.tar.gz"
    with pytest.raises(FetchError, match=r"tiny\.tar\.gz: .*refused.* \(6 attempts\)"):
        download(url, "0" * 64, tmp_path / "file", sleep=pauses.append)
    assert len(pauses) == 5


def test_a_refusal_is_not_tried_again(shelf: tuple[type[Shelf], str], tmp_path: Path) -> None:
    handler, url = shelf
    handler.faults.append("403")
    with pytest.raises(FetchError, match="answers 403"):
        fetch(url, "0" * 64, tmp_path / "here")
    assert len(handler.seen) == 1


def test_the_token_does_not_follow_a_redirection(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive
    handler.faults.append(f"to {url.replace('tiny.tar.gz', 'elsewhere')}")
    fetch(url, sha256(archive), tmp_path / "here", token="t0p")
    first, second = handler.seen
    assert first["authorization"] == "Bearer t0p"
    assert second["path"].startswith("/elsewhere")
    assert "authorization" not in second


def test_an_archive_of_another_model_is_refused(
    shelf: tuple[type[Shelf], str], archive: bytes, tmp_path: Path
) -> None:
    handler, url = shelf
    handler.content = archive
    with pytest.raises(FetchError, match="holds tiny, expected digits alone"):
        fetch(url, sha256(archive), tmp_path / "here", name="digits")
    assert not (tmp_path / "here" / "tiny").exists()


@pytest.mark.parametrize("member", ["../outside", "/outside"])
def test_nothing_is_unpacked_outside(
    shelf: tuple[type[Shelf], str], tmp_path: Path, member: str
) -> None:
    handler, url = shelf
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    handler.content = buffer.getvalue()
    with pytest.raises(FetchError):
        fetch(url, sha256(handler.content), tmp_path / "here")
    escaped = [path for path in tmp_path.rglob("outside") if "unpacked" not in path.parts]
    assert escaped == []
    assert not Path("/outside").exists()


@pytest.mark.parametrize("content", [b"not an archive", b""], ids=["text", "nothing"])
def test_what_is_no_archive_is_said_to_be_none(
    shelf: tuple[type[Shelf], str], tmp_path: Path, content: bytes
) -> None:
    handler, url = shelf
    handler.content = content
    with pytest.raises(FetchError, match=r"cannot be unpacked|no model"):
        fetch(url, sha256(content), tmp_path / "here")


@pytest.mark.parametrize(
    ("url", "checksum"), [("file:///etc/passwd", "0" * 64), ("http://127.0.0.1/x", "abc")]
)
def test_impossible_arguments_are_usage_errors(url: str, checksum: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        fetch(url, checksum, tmp_path / "here")


def test_a_tuning_plan_in_an_archive_is_left_out_and_one_here_stays(
    draft: ManifestDraft, stage: Stage, shelf: tuple[type[Shelf], str], tmp_path: Path
) -> None:
    """A plan is of the machine that it was measured on; bundles travel without."""
    source, repository = tmp_path / "source", tmp_path / "repository"
    publish(source, draft, stage(b"one"))
    (source / "tiny" / "tuning-1.json").write_text("there")
    (repository / "tiny").mkdir(parents=True)
    (repository / "tiny" / "tuning-1.json").write_text("here")
    handler, url = shelf
    handler.content = pack(source, "tiny")
    fetch(url, sha256(handler.content), repository)
    assert [bundle.version for bundle in scan(repository).bundles] == [1]
    assert (repository / "tiny" / "tuning-1.json").read_text() == "here"
    (repository / "tiny" / "tuning-1.json").unlink()
    fetch(url, sha256(handler.content), repository)
    assert not (repository / "tiny" / "tuning-1.json").exists()
