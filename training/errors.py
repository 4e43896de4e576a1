"""Training's branch of the error tree (root: models/errors.py).

    SlipwayError
    ├── DataError          the data a run was given cannot be used; exit 2
    ├── TrainingFailed     the optimisation broke down (loss not finite, no step done)
    ├── Interrupted        Ctrl-C; the message says how to go on; exit 130
    ├── ExportFailed       the network could not be turned into a valid ONNX graph
    └── GateFailed         a condition for publication does not hold; nothing was published

Every message is one line that names the thing (file, line, class, gate), the value and the remedy.
"""

from models.errors import SlipwayError


class DataError(SlipwayError):
    """Missing, empty, undecodable or wrongly laid out data."""

    status = 422
    reason = "data"
    exit_code = 2


class TrainingFailed(SlipwayError):
    reason = "training"


class Interrupted(SlipwayError):
    """The shell's convention for SIGINT: 128 + 2."""

    reason = "interrupted"
    exit_code = 130


class ExportFailed(SlipwayError):
    reason = "export"


class GateFailed(SlipwayError):
    reason = "gate"
