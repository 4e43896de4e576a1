"""Variants in 16 bits: made and judged here by `slipway optimize`, within the budget, and examined."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.gpu_check.checks.parity import examined
from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, judged, not_run
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import NotAvailable
from models.manifest import Variant
from service.selection.choice import choice_of

_MODELS = ("digits", "language-id")  # what can be judged again in seconds
_LEAST_S = 20.0


def run(workplace: Workplace) -> Iterator[Result]:
    """Raises NotAvailable."""
    if find_spec("torch") is None:
        raise NotAvailable(
            "torch is not installed, and a variant is judged on its recipe's test split"
        )
    names = {bundle.name for bundle in bundles_of(workplace.repository)}
    chosen = [name for name in _MODELS if name in names]
    if not chosen:
        raise NotAvailable(f"the repository has none of {', '.join(_MODELS)}")
    for provider in workplace.providers:
        for name in chosen:
            what = f"{name} in fp16 on {provider}"
            if workplace.left_s < _LEAST_S:
                yield not_run(what, "the time was over")
                continue
            yield from optimized(workplace, name, provider, what)


def optimized(workplace: Workplace, name: str, provider: str, what: str) -> Iterator[Result]:
    """In a copy: the repository stays as it is."""
    copy = workplace.folder / provider
    shutil.copytree(workplace.repository / name, copy / name)
    command = [sys.executable, "-m", "slipway", "optimize", name]
    command += ["--targets", f"onnxruntime:fp16@{provider}", "--repository", str(copy)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=workplace.left_s
        )
    except subprocess.TimeoutExpired:
        yield not_run(what, "it was not judged in the time that was left")
        return
    [bundle] = bundles_of(copy)
    variants = [one for one in bundle.manifest.variants if one.provider == provider]
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        yield judged(what, False, detail=said[-1] if said else f"exit {done.returncode}")
        return
    yield kept(what, variants)
    for variant in variants:
        yield examined(f"{what}: golden exam", bundle, choice_of(variant), workplace.device)


def kept(what: str, variants: list[Variant]) -> Result:
    """What is published was within the budget; what was not is dropped, with its reason in the table."""
    if not variants:
        detail = "none was worth keeping: over the budget, or neither smaller nor faster"
        return Result(what, "measured", detail=detail)
    [variant] = variants
    detail = f"{variant.size_bytes / 2**20:.2f} MiB, measured on {variant.hardware}"
    return judged(
        f"{what}: within the accuracy budget",
        True,
        figure=variant.accuracy_delta,
        unit="change of the main metric",
        target="as published",
        detail=detail,
    )
