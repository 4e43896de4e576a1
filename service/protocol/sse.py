"""Server-sent events (WHATWG HTML, "server-sent events"): one `data:` line and an empty one each."""

import orjson

MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
"""OpenAI's last event."""


def event(document: object) -> bytes:
    """JSON has no raw line breaks, so one line holds any document."""
    return b"data: " + orjson.dumps(document) + b"\n\n"
