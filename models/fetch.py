"""`slipway fetch`: published models from an archive elsewhere into a repository here.

Download, checksum → unpack beside the repository's models → every bundle opened and verified → renamed
into place. Whoever reads the repository sees a version whole or not at all, and a second run finds the
work done. Meant for the moment before a server starts, such as an init container.
"""

import argparse
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

from models.bundle import open_bundle
from models.download import download
from models.errors import BundleError, FetchError, UsageError
from models.manifest import MANIFEST_FILE
from models.sizes import human_bytes

_STAGING, _DONE = ".fetch", ".fetched"


def add_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add `fetch` to the command line."""
    parser = commands.add_parser(
        "fetch",
        help="bring published models from an archive at a URL",
        description="Download an archive (tar, also compressed) of <name>/<version>/ folders, check its "
        "sha256 and every file's, and put the versions into a repository. Done already: nothing happens.",
        epilog="make one: tar -czf digits.tar.gz -C models/repository digits && sha256sum digits.tar.gz",
    )
    parser.add_argument("url", help="http:// or https:// address of the archive")
    parser.add_argument("--sha256", required=True, metavar="HEX", help="checksum of the archive")
    parser.add_argument("--repository", type=Path, required=True, metavar="DIR")
    parser.add_argument("--name", help="refuse an archive that holds other models than this one")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with a token to send as bearer"
    )
    parser.set_defaults(handler=_fetch)


def _fetch(arguments: argparse.Namespace) -> int:
    token = _token(arguments.token_file)
    for line in fetch(
        arguments.url, arguments.sha256, arguments.repository, name=arguments.name, token=token
    ):
        print(line, file=sys.stderr)
    return 0


def fetch(
    url: str, sha256: str, repository: Path, *, name: str | None = None, token: str = ""
) -> list[str]:
    """What was done, a line a version. Raises FetchError, BundleError or UsageError."""
    sha256 = sha256.lower()
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise UsageError(f"--sha256 {sha256!r}: expected 64 hexadecimal digits")
    if placed := _finished(repository, sha256):
        return [f"{version} is already there" for version in placed]
    staging = repository / _STAGING / sha256
    try:
        staging.mkdir(parents=True, exist_ok=True)
        archive = staging / "archive"
        download(url, sha256, archive, token=token)
        unpacked = staging / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        _unpack(archive, unpacked)
        archive.unlink()
        lines = _place(unpacked, repository, name)
        _remember(repository, sha256, [line.partition(" ")[0] for line in lines])
    except OSError as error:
        raise FetchError(f"the archive is not fetched: {error.strerror or error}") from error
    shutil.rmtree(staging)
    return lines


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except OSError as error:
        raise UsageError(f"--token-file {file}: {error.strerror}") from error


def _unpack(archive: Path, folder: Path) -> None:
    """Plain files and folders only, none of them outside `folder`."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise FetchError(f"the archive cannot be unpacked: {error}") from error


def _place(unpacked: Path, repository: Path, name: str | None) -> list[str]:
    found = [manifest.parent for manifest in sorted(unpacked.rglob(MANIFEST_FILE))]
    if not found:
        raise FetchError(
            "the archive holds no model: there is no <name>/<version>/manifest.json in it"
        )
    bundles = [open_bundle(folder) for folder in found]
    if name is not None and (others := {b.name for b in bundles} - {name}):
        raise FetchError(f"the archive holds {', '.join(sorted(others))}, expected {name} alone")
    lines = []
    for bundle in bundles:
        target = repository / bundle.name / str(bundle.version)
        target.parent.mkdir(exist_ok=True)
        if (
            target.exists()
        ):  # left by a run that was broken off, or by somebody else: then it must be the same
            if open_bundle(target).manifest != bundle.manifest:
                raise FetchError(
                    f"{bundle.name}/{bundle.version} is already there, and is another one"
                )
            lines.append(f"{bundle.name}/{bundle.version} is already there")
        else:
            bundle.path.rename(target)
            lines.append(f"{bundle.name}/{bundle.version} ({human_bytes(bundle.size_bytes)})")
    return lines


def _finished(repository: Path, sha256: str) -> list[str]:
    """The versions of an archive that was fetched before, if all of them are still sound."""
    mark = repository / _DONE / sha256
    if not mark.exists():
        return []
    versions = mark.read_text().split()
    try:
        for version in versions:
            open_bundle(repository / version)
    except BundleError:
        return []
    return versions


def _remember(repository: Path, sha256: str, versions: list[str]) -> None:
    mark = repository / _DONE / sha256
    mark.parent.mkdir(exist_ok=True)
    mark.write_text("\n".join(versions))
