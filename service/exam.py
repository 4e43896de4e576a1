"""The golden exam: before a model may serve, it must give the answers that it gave at export.

Runs inside the worker, through the very session that will serve. It proves a forward pass and catches a
wrong runtime, a wrong provider or broken kernels; weights were already proven by their checksums.
"""

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE
from models.runtimes.base import Session


def read_golden(bundle: Bundle, file: str = GOLDEN_FILE) -> Golden | None:
    """None for a bundle without an exam (an imported graph)."""
    if file not in bundle.manifest.files:
        return None
    return Golden.from_bytes(bundle.read(file))


def replay(session: Session, bundle: Bundle) -> float | None:
    """Largest absolute difference to the golden answers. Raises ExamFailed."""
    golden = read_golden(bundle)
    if golden is None:
        return None
    return golden.compare(session.run(golden.inputs), bundle.manifest.tolerance)
