"""What the operator asks for, model by model: a runtime, a precision, a place to compute.

Written as `MODEL=VALUE`; `*` means every model, and a model's own word wins over it. What is asked for and
is not there is an error when the model is loaded, never a silent fall-back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from models.manifest import Manifest
from models.runtimes import known
from models.runtimes.base import Provider
from service.selection.choice import (
    AUTO,
    REFERENCE_RUNTIME,
    Choice,
    VariantMissing,
    available,
    candidates,
    choice_of,
    is_servable,
    reference,
)

EVERY = "*"
PROVIDERS: tuple[Provider, ...] = ("cpu", "cuda", "tensorrt")


@dataclass(frozen=True)
class Wish:
    """`runtime` may be auto; `precision` empty: any."""

    runtime: str = AUTO
    provider: Provider = "cpu"
    precision: str = ""


@dataclass(frozen=True)
class Wishes:
    """`variants`: model → PRECISION or RUNTIME:PRECISION; `providers`: model → provider."""

    runtime: str
    provider: Provider
    variants: Mapping[str, str]
    providers: Mapping[str, str]

    @classmethod
    def of(
        cls, runtime: str, provider: Provider, variants: Iterable[str], providers: Iterable[str]
    ) -> "Wishes":
        """From the settings' words, which `check_variant` and `check_provider` have seen."""
        return cls(runtime, provider, _by_model(variants), _by_model(providers))

    def of_model(self, name: str) -> Wish:
        runtime, provider = self.runtime, self.provider
        asked = self.variants.get(name, self.variants.get(EVERY, ""))
        own, _, precision = asked.rpartition(":")
        place = self.providers.get(name, self.providers.get(EVERY, provider))
        return Wish(own or runtime, cast("Provider", place), precision)


def wanted(manifest: Manifest, wish: Wish) -> list[Choice]:
    """The choices that fulfil it, the one that others must beat first. Raises VariantMissing."""
    runtime = wish.runtime
    if manifest.runner == "generation":
        if runtime not in (AUTO, REFERENCE_RUNTIME):
            raise VariantMissing(
                f"{_label(manifest)} writes text, which {runtime} does not do here; --variant "
                f"{manifest.name}={REFERENCE_RUNTIME}:{wish.precision or manifest.precision} serves it"
            )
        runtime = REFERENCE_RUNTIME
    # A runtime that is named and missing is not passed over: opening the session says so.
    has = available if runtime == AUTO else None
    found = candidates(
        manifest, runtime=runtime, provider=wish.provider, is_available=has or (lambda *_: True)
    )
    if wish.precision:
        found = [choice for choice in found if choice.precision == wish.precision]
    if not found:
        raise VariantMissing(_missing(manifest, wish))
    return found


def check_variant(entry: str) -> str:
    """MODEL=PRECISION or MODEL=RUNTIME:PRECISION. Raises ValueError with what was expected."""
    model, _, asked = entry.partition("=")
    runtime, _, precision = asked.rpartition(":")
    if not (model and precision) or (":" in asked and not runtime):
        raise ValueError("must be MODEL=PRECISION or MODEL=RUNTIME:PRECISION")
    names = sorted(info.name for info in known())
    if runtime and runtime not in names:
        raise ValueError(f"there is no runtime {runtime!r}; known: {', '.join(names)}")
    return entry


def check_provider(entry: str) -> str:
    """MODEL=PROVIDER. Raises ValueError with what was expected."""
    model, _, provider = entry.partition("=")
    if not model or provider not in PROVIDERS:
        raise ValueError(f"must be MODEL=PROVIDER, with one of {', '.join(PROVIDERS)}")
    return entry


def _by_model(entries: Iterable[str]) -> dict[str, str]:
    """The last word about a model counts."""
    pairs = (entry.partition("=") for entry in entries)
    return {model: asked for model, _, asked in pairs}


def _missing(manifest: Manifest, wish: Wish) -> str:
    asked = wish.precision if wish.runtime == AUTO else f"{wish.runtime}:{wish.precision}"
    has: dict[str, str] = {manifest.precision: _where(reference(manifest, wish.provider), wish)}
    for variant in manifest.variants:
        if is_servable(manifest, variant):
            has.setdefault(variant.precision, _where(choice_of(variant), wish))
    told = ", ".join(precision + where for precision, where in has.items())
    return f"{_label(manifest)} has no variant {asked!r} to serve; it has: {told}"


def _where(choice: Choice, wish: Wish) -> str:
    """What a reader must know to ask for it; nothing where its name is enough."""
    if choice.provider != wish.provider:
        return f" (on {choice.provider})"
    if not available(choice.runtime, choice.provider):
        return f" ({choice.runtime}, which is not installed here)"
    return "" if choice.runtime == REFERENCE_RUNTIME else f" ({choice.runtime})"


def _label(manifest: Manifest) -> str:
    return f"{manifest.name}/{manifest.version}"
