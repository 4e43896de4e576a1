"""Server-sent events (WHATWG HTML, "server-sent events"): one `data:` line and an empty one each, and before
them an `event:` line where the event has a name."""

import orjson

MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
"""OpenAI's last event."""


def event(document: object, kind: str = "") -> bytes:
    """JSON has no raw line breaks, so one line holds any document. `kind` names the event, where clients
    tell events apart by name."""
    named = b"event: " + kind.encode() + b"\n" if kind else b""
    return named + b"data: " + orjson.dumps(document) + b"\n\n"
