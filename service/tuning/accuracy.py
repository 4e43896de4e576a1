"""What a choice costs in accuracy, as the manifest records it. Nothing is measured here."""

from dataclasses import dataclass

from models.manifest import Manifest
from service.selection.choice import Choice, reference, variant_of


@dataclass(frozen=True)
class Accuracy:
    """`loss`: of the main metric, positive where the choice is worse. `text`: for people."""

    loss: float
    text: str


def metric_of(manifest: Manifest) -> str:
    """The main metric's name; empty for a version that was never evaluated."""
    return manifest.evaluation[0].metric if manifest.evaluation else ""


def accuracy_of(manifest: Manifest, choice: Choice) -> Accuracy:
    """The reference's graph without a record of its own must pass the golden exam wherever it runs; what
    that leaves open is smaller than what is recorded, and counts as nothing."""
    variant = variant_of(manifest, choice)
    if variant is None:
        is_reference = choice.what == reference(manifest, choice.provider)
        return Accuracy(0.0, "reference" if is_reference else "exam")
    higher_is_better = not manifest.evaluation or manifest.evaluation[0].higher_is_better
    delta = variant.accuracy_delta
    return Accuracy(-delta if higher_is_better else delta, f"{delta:+.4f}")
