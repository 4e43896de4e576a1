"""What a repository holds: `<repository>/<name>/<version>/`, read strictly, everything else ignored."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from models.bundle import Bundle, open_bundle
from models.errors import BundleError, BundleMissing, RepositoryMissing
from models.naming import is_name, is_version

_log = logging.getLogger("slipway.catalog")


@dataclass(frozen=True)
class Rejected:
    """A version folder that cannot be served, and why (`reason` is the error's metric word)."""

    name: str
    version: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Listing:
    """A scan's result, ordered by name and version."""

    bundles: list[Bundle] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def default_repository() -> Path:
    """The repository used when nobody names one, relative to the working directory."""
    return Path("models/repository")


def require_repository(repository: Path) -> None:
    """Raise RepositoryMissing, with the remedy, unless `repository` is a folder."""
    if not repository.is_dir():
        raise RepositoryMissing(
            f"there is no model repository at {repository}: train a model into it "
            "(`slipway train digits`) or name another with --repository"
        )


def list_names(repository: Path) -> list[str]:
    """Names of the models that have a folder, in order."""
    require_repository(repository)
    return sorted(
        entry.name for entry in repository.iterdir() if is_name(entry.name) and entry.is_dir()
    )


def list_versions(repository: Path, name: str) -> list[int]:
    """Version folders of a model, ascending, unopened; empty when the model is unknown."""
    folder = repository / name
    if not is_name(name) or not folder.is_dir():
        return []
    return sorted(
        int(entry.name) for entry in folder.iterdir() if is_version(entry.name) and entry.is_dir()
    )


def find_bundle(
    repository: Path, name: str, version: int | None = None, *, verify: bool = True
) -> Bundle:
    """Open one version, by default the newest that is sound (newer broken ones are logged).

    Raises BundleMissing for an unknown name or version, and the newest version's own error when none
    is sound.
    """
    require_repository(repository)
    versions = list_versions(repository, name)
    if not versions:
        known = ", ".join(n for n in list_names(repository) if list_versions(repository, n))
        raise BundleMissing(
            f"there is no model {name!r}; the repository has: {known or 'nothing yet'}"
        )
    if version is not None:
        if version not in versions:
            have = ", ".join(map(str, versions))
            raise BundleMissing(f"model {name!r} has no version {version}; it has: {have}")
        return open_bundle(repository / name / str(version), verify=verify)
    errors: list[BundleError] = []
    for candidate in reversed(versions):
        try:
            bundle = open_bundle(repository / name / str(candidate), verify=verify)
        except BundleError as error:
            errors.append(error)
            continue
        for newer in errors:
            _log.warning("%s; using version %d", newer.message, candidate)
        return bundle
    raise errors[0]


def scan(repository: Path, *, verify: bool = True) -> Listing:
    """Open every version of every model; broken ones are listed as rejected, never raised."""
    listing = Listing()
    for name in list_names(repository):
        for version in list_versions(repository, name):
            try:
                listing.bundles.append(open_bundle(repository / name / str(version), verify=verify))
            except BundleError as error:
                listing.rejected.append(Rejected(name, version, error.reason, error.message))
    return listing
