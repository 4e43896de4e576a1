"""Which of a bundle's graphs is served: the reference, or a variant that the operator names.

Asked when a model is loaded. A variant was measured and kept at training, and brings a golden exam of its
own: its answers are close to the reference's, not equal.
"""

from dataclasses import dataclass

from models.bundle import Bundle
from models.errors import BundleError
from models.manifest import GOLDEN_FILE, MODEL_FILE
from service.generation.options import GenerationOptions


class VariantMissing(BundleError):
    """The operator asks for a variant that this version of the model does not have."""

    reason = "variant_missing"


@dataclass(frozen=True)
class ServedGraph:
    """Files of the bundle."""

    model: str = MODEL_FILE
    golden: str = GOLDEN_FILE


REFERENCE = ServedGraph()


def served_graph(bundle: Bundle, options: GenerationOptions) -> ServedGraph:
    """Raises VariantMissing, naming those that there are."""
    wanted = options.variant_of(bundle.name)
    manifest = bundle.manifest
    if wanted in (None, manifest.precision):
        return REFERENCE
    for variant in manifest.variants:
        if variant.precision == wanted and variant.file and variant.golden_file in manifest.files:
            return ServedGraph(variant.file, variant.golden_file)
    known = [manifest.precision, *(variant.precision for variant in manifest.variants)]
    raise VariantMissing(
        f"{bundle.name}/{bundle.version} has no variant {wanted!r} to serve; it has: "
        f"{', '.join(known)}"
    )
