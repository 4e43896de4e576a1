"""What every session is told, whatever computes it."""

from collections.abc import Mapping

import onnxruntime as ort

from models.runtimes.base import SessionOptions

SILENT = 4  # severity "fatal": failures are reported through our own errors, once


def session_options_of(options: SessionOptions) -> ort.SessionOptions:
    """Threads as planned, no spinning, no banners."""
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.inter_op_num_threads = 1
    session_options.log_severity_level = SILENT
    # Spinning threads burn the cores that the front end needs to parse the next request.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return session_options


def add_weights(session_options: ort.SessionOptions, weights: Mapping[str, bytes]) -> None:
    """Hand over external weights as bytes, so that the runtime opens no path itself.

    It keeps pointers into them until the session exists; the caller keeps them alive until then.
    """
    if weights:
        session_options.add_external_initializers_from_files_in_memory(
            list(weights), list(weights.values()), [len(part) for part in weights.values()]
        )
