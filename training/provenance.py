"""Where a bundle comes from: commit, versions, configuration, data hash, duration."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from models.manifest import Provenance
from training.config import RunConfig

_PACKAGES = ("torch", "lightning", "onnx", "onnxruntime", "onnxruntime-gpu", "numpy", "slipway")
_ROOT = Path(__file__).resolve().parent.parent


def provenance(config: RunConfig, data_sha256: str, duration_s: float) -> Provenance:
    """Complete enough to train the same weights again."""
    return Provenance(
        recipe=config.recipe,
        config=config.model_dump(mode="json"),
        seed=config.seed,
        data_sha256=data_sha256,
        git_commit=git_commit(),
        versions=versions(),
        duration_s=round(duration_s, 2),
    )


def versions(*more: str) -> dict[str, str]:
    """Installed packages that shape the result, and Python itself. `more`: packages beside the usual."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, *more):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of this source tree, "-dirty" where files differ from it; None outside one."""
    if not (_ROOT / ".git").exists():
        return None  # an installed package must not report whatever repository surrounds it
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return f"{commit}-dirty" if _git("status", "--porcelain", "-uno") else commit


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git here: the manifest says so by leaving the commit out
    return answer.stdout.strip()
