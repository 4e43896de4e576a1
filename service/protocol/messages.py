"""The nouns of an infer exchange: what was asked, which outputs are wanted and how, what is sent back.

Named tuples: made for every request, and a frozen dataclass takes three times as long to make.
"""

from typing import NamedTuple

import numpy as np


class WantedOutput(NamedTuple):
    """`classification`: answer the so many highest values as text instead of the tensor; 0: the tensor."""

    name: str
    is_binary: bool = False
    classification: int = 0


class InferRequest(NamedTuple):
    """Checked against the manifest. `rows`: size of the batch axis. `timeout_s` and `priority` are the
    caller's own (None and 0: it named none). Strings are str; other inputs may be views into the body."""

    inputs: dict[str, np.ndarray]
    rows: int
    outputs: tuple[WantedOutput, ...]
    ident: str | None = None
    timeout_s: float | None = None
    priority: int = 0


class Encoded(NamedTuple):
    """`header_bytes`: length of the JSON that leads a binary body; None: the body is JSON throughout."""

    body: bytes
    header_bytes: int | None = None
