"""The bundles that are checked: those that are published, or a few that are trained on the spot."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from models.bundle import Bundle
from models.catalog import scan

# From data that needs no download: a picture model and a text model in seconds, one that writes text in about
# a minute and a half on two cores.
SMALL = ("digits", "language-id", "pycode-gpt")
_LIMIT_S = 240.0


class NoBundles(Exception):
    """There is nothing to check, and nothing can be made; the message says what to do."""


def bundles_of(repository: Path) -> list[Bundle]:
    """The newest sound version of each model."""
    if not repository.is_dir():
        return []
    newest: dict[str, Bundle] = {}
    for bundle in scan(repository).bundles:
        known = newest.get(bundle.name)
        if known is None or bundle.version > known.version:
            newest[bundle.name] = bundle
    return [newest[name] for name in sorted(newest)]


def prepared(
    repository: Path,
    spare: Path,
    tell: Callable[[str], None] = lambda _: None,
    train: Callable[[str, Path], str] | None = None,
) -> tuple[Path, Sequence[Bundle]]:
    """The repository itself where it holds something, else `spare`, filled by training. Raises NoBundles."""
    found = bundles_of(repository)
    if found:
        return repository, found
    if train is None and find_spec("torch") is None:
        raise NoBundles(
            f"{repository} holds no models and torch is not installed to train some: bring a "
            "repository (make demo on another machine, then --repository), or install .[train]"
        )
    complaints = []
    for recipe in SMALL:
        tell(f"training {recipe}")
        complaint = (train or _train)(recipe, spare)
        if complaint:
            complaints.append(f"{recipe}: {complaint}")
    found = bundles_of(spare)
    if not found:
        raise NoBundles(f"no model could be trained: {'; '.join(complaints)}")
    return spare, found


def _train(recipe: str, repository: Path) -> str:
    """What went wrong; empty when nothing did."""
    command = [sys.executable, "-m", "slipway", "train", recipe, "--repository", str(repository)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"not trained within {_LIMIT_S:.0f} s"
    said = (done.stderr or done.stdout).strip().splitlines()
    return (said[-1] if said else f"exit {done.returncode}") if done.returncode else ""
