"""How many workers a server starts, and how wide: as tuned, where every model that it serves was tuned so.

Choice and batches are a version's own; workers are shared by all. So a plan's shape is taken only when nobody
said another and all plans agree, which is the case for a server of one tuned model.
"""

from collections.abc import Iterable
from pathlib import Path

from models.bundle import open_bundle
from models.catalog import list_names, list_versions
from models.cgroup import usable_cores
from models.errors import BundleError
from service.lifecycle.version_policy import VersionPolicy
from service.settings import Settings
from service.threads import ThreadPlan, plan
from service.tuning.plan import plan_name, read_plan

_EVERY = "*"


def thread_plan(settings: Settings) -> ThreadPlan:
    """Reads the repository's plans when neither workers nor cores were named; never raises."""
    usual = plan(settings.threads or usable_cores(), settings.workers)
    if settings.workers or settings.threads:
        return usual
    return tuned_shape(settings.repository, _served(settings), settings.version_policy) or usual


def tuned_shape(
    repository: Path, names: Iterable[str], policy: VersionPolicy, hardware: str | None = None
) -> ThreadPlan | None:
    """What the plans of all these models agree on; None when one has none or they differ."""
    found = set()
    for name in names:
        shape = _shape(repository, name, policy, hardware)
        if shape is None:
            return None
        found.add(shape)
    return found.pop() if len(found) == 1 else None


def _shape(
    repository: Path, name: str, policy: VersionPolicy, hardware: str | None
) -> ThreadPlan | None:
    """Of the version that comes first. Whoever loads it says why a plan is ignored."""
    newest = policy.candidates(list_versions(repository, name))[:1]
    if not newest or not (repository / name / plan_name(newest[0])).exists():
        return None
    try:
        bundle = open_bundle(repository / name / str(newest[0]), verify=False)
    except BundleError:
        return None
    tuned = read_plan(bundle, hardware, warns=False)
    if tuned is None:
        return None
    # A batch alone was given no more threads than these when it was measured.
    return ThreadPlan(tuned.workers, tuned.threads, tuned.workers * tuned.threads)


def _served(settings: Settings) -> list[str]:
    """Names of what is served from the start; empty when only requests tell."""
    named = list(settings.model)
    is_explicit = settings.model_control_mode == "explicit"
    if _EVERY in named or not (named or is_explicit):
        return _with_versions(settings.repository)
    return named


def _with_versions(repository: Path) -> list[str]:
    try:
        names = list_names(repository)
    except (BundleError, OSError):
        return []
    return [name for name in names if list_versions(repository, name)]
