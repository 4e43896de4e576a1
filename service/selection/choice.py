"""What a server runs for one bundle version, and what it may choose from.

Choices name only what a bundle's manifest vouches for: its reference graph, the same graph on another
runtime (its exam must pass there), and variants that were measured and kept within the accuracy budget.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any, NamedTuple, cast

from models.errors import BundleError
from models.manifest import GOLDEN_FILE, MODEL_FILE, Manifest, ManifestDraft, Tolerance, Variant
from models.runtimes import known
from models.runtimes.base import Compute, Provider

REFERENCE_RUNTIME = "onnxruntime"
AUTO = "auto"


class VariantMissing(BundleError):
    """What the operator asks for is not among the ways in which this version can be run here."""

    reason = "variant_missing"


@dataclass(frozen=True)
class Choice:
    """`reason`: why, in words for metadata and log. `max_batch_size` 0: as configured; 1 for a variant
    whose rows depend on each other."""

    runtime: str = REFERENCE_RUNTIME
    provider: Provider = "cpu"
    precision: str = "fp32"
    compute: Compute = "fp32"
    file: str = MODEL_FILE
    reason: str = ""
    max_batch_size: int = 0

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision} on {self.provider}"

    @property
    def what(self) -> "Choice":
        """Without the reason: two choices that run the same are equal."""
        return replace(self, reason="")

    def because(self, reason: str) -> "Choice":
        return replace(self, reason=reason)

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> "Choice":
        """Raises TypeError or ValueError for what `to_json` did not make."""
        made = cls(**members)
        if not all(type(getattr(made, name)) is type(value) for name, value in _PLAIN.items()):
            raise ValueError(f"not a choice: {members}")
        return made


_PLAIN = asdict(Choice())


class Exam(NamedTuple):
    """Which of a bundle's recorded answers a choice must give, and how closely."""

    golden: str
    tolerance: Tolerance


def reference(manifest: ManifestDraft, provider: Provider = "cpu") -> Choice:
    """The graph as it was exported, on the runtime that it was verified with."""
    return Choice(provider=provider, precision=manifest.precision)


def candidates(
    manifest: Manifest,
    *,
    runtime: str = AUTO,
    provider: Provider = "cpu",
    is_available: Callable[[str, str], bool] | None = None,
) -> list[Choice]:
    """What may be chosen here, the one that everything else must beat first.

    `runtime`: of this one alone, or auto. `is_available`: (runtime, provider) → can it be used here. The
    first is given also where its runtime is missing: opening it tells why.
    """
    has = is_available or available
    base = reference(manifest, provider)
    if runtime not in (AUTO, REFERENCE_RUNTIME):
        base = replace(base, runtime=runtime)
    found = [base]
    if runtime == AUTO and manifest.runner == "batch":
        others = [info.name for info in known() if info.name != REFERENCE_RUNTIME]
        found += [replace(base, runtime=name) for name in others if has(name, provider)]
    for variant in manifest.variants:
        is_wanted = runtime in (AUTO, variant.runtime) and variant.provider == provider
        if is_wanted and is_servable(manifest, variant) and has(variant.runtime, provider):
            found.append(choice_of(variant))
    return list(dict.fromkeys(found))


def choice_of(variant: Variant) -> Choice:
    return Choice(
        variant.runtime,
        cast("Provider", variant.provider),
        variant.precision,
        variant.compute,
        variant.file or MODEL_FILE,
        max_batch_size=0 if variant.is_row_independent else 1,
    )


def is_servable(manifest: Manifest, variant: Variant) -> bool:
    """A variant that no exam can be held on is not served; text models need one of the variant's own."""
    if manifest.runner == "generation":
        has_engine = variant.runtime == REFERENCE_RUNTIME and variant.compute == "fp32"
        return has_engine and variant.golden_file in manifest.files
    return variant.tolerance is not None or variant.golden_file in manifest.files


def variant_of(manifest: ManifestDraft, choice: Choice) -> Variant | None:
    """The record behind a choice; None for the reference's graph without a record of its own."""
    for variant in manifest.variants:
        if choice_of(variant) == choice.what:
            return variant
    return None


def exam_of(manifest: ManifestDraft, choice: Choice) -> Exam:
    variant = variant_of(manifest, choice)
    if variant is None:
        return Exam(GOLDEN_FILE, manifest.tolerance)
    if variant.tolerance is not None:
        return Exam(GOLDEN_FILE, variant.tolerance)
    return Exam(variant.golden_file or GOLDEN_FILE, manifest.tolerance)


def available(runtime: str, provider: str) -> bool:
    """Is it installed, as far as can be told without importing it? Opening a session tells the rest."""
    packages = {info.name: info.package for info in known()}
    on_provider = runtime == REFERENCE_RUNTIME or provider == "cpu"
    return runtime in packages and on_provider and find_spec(packages[runtime]) is not None
