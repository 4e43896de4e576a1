"""The strict reader: a folder becomes a Bundle only if every byte is what was published.

A corrupted weight still loads in ONNX Runtime and answers wrongly, so checksums are not optional: `read`
hashes the very bytes it returns, which also closes the gap between checking a file and using it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from models.errors import BundleMissing, IntegrityError, ManifestInvalid
from models.files import digest_plain, list_files, read_plain
from models.manifest import MANIFEST_FILE, Manifest

_MANIFEST_LIMIT_BYTES = 16 << 20


@dataclass(frozen=True)
class Bundle:
    """One published version of a model. `path` is `<repository>/<name>/<version>`."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.manifest.files.values())

    def read(self, file: str) -> bytes:
        """The file's bytes, checked against the manifest. Raises IntegrityError."""
        entry = self.manifest.files.get(file)
        if entry is None:
            raise IntegrityError(f"{self.name}/{self.version}: {file} is not in the manifest")
        data = read_plain(self.path, file)
        _require(len(data) == entry.size_bytes, self, file, "has another size than published")
        same = hashlib.sha256(data).hexdigest() == entry.sha256
        _require(same, self, file, "has another checksum than published")
        return data

    def read_text(self, file: str) -> str:
        return self.read(file).decode("utf-8")

    def labels(self, file: str) -> list[str]:
        """One label a line, in class order."""
        return self.read_text(file).splitlines()


def open_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Open a version folder; with `verify`, check every file's checksum and that no file is extra.

    Raises BundleMissing when there is no such folder, ManifestInvalid or IntegrityError otherwise.
    """
    if not path.is_dir():
        raise BundleMissing(f"there is no version {path.name} of model {path.parent.name!r}")
    where = f"{path.parent.name}/{path.name}"
    try:
        data = read_plain(path, MANIFEST_FILE, _MANIFEST_LIMIT_BYTES)
    except IntegrityError as error:
        raise ManifestInvalid(f"{where}: {error.message}") from error
    try:
        manifest = Manifest.from_json(data)
    except ManifestInvalid as error:
        raise ManifestInvalid(f"{where}: manifest.json: {error.message}") from error
    if (manifest.name, str(manifest.version)) != (path.parent.name, path.name):
        raise ManifestInvalid(
            f"{where}: the manifest says {manifest.name}/{manifest.version}; "
            "a bundle must lie in the folder of its name and version"
        )
    bundle = Bundle(path, manifest)
    if verify:
        verify_files(bundle)
    return bundle


def verify_files(bundle: Bundle) -> None:
    """Check presence, absence of extras, size and sha256. Raises IntegrityError naming the file."""
    listed = set(bundle.manifest.files)
    extra = sorted(set(list_files(bundle.path)) - listed - {MANIFEST_FILE})
    _require(not extra, bundle, ", ".join(extra[:3]), "was not published with it; remove it")
    for file, entry in bundle.manifest.files.items():
        try:
            found = digest_plain(bundle.path, file)
        except IntegrityError as error:
            raise IntegrityError(f"{bundle.name}/{bundle.version}: {error.message}") from error
        _require(found[1] == entry.size_bytes, bundle, file, "has another size than published")
        _require(found[0] == entry.sha256, bundle, file, "has another checksum than published")


def _require(condition: bool, bundle: Bundle, file: str, complaint: str) -> None:
    if not condition:
        raise IntegrityError(f"{bundle.name}/{bundle.version}: {file} {complaint}")
