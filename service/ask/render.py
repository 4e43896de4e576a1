"""A reply for people: aligned labels with bars, text as text, pictures as files."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from models.errors import UsageError
from service.ask.reply import Reply

_BAR_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"


def render(reply: Reply, asked: str, output: Path | None) -> str:
    """What to print. A picture is written to `output`, by default a file named for what was asked."""
    lines = [f"{reply.model}  {reply.took_ms:.1f} ms"]
    for prediction in reply.predictions:
        if "labels" in prediction:
            lines += _labels(prediction["labels"])
        elif "image" in prediction:
            lines.append(_picture(prediction, reply, asked, output))
        elif "source_tokens" in prediction:
            lines += _written(prediction)
        elif "text" in prediction:
            lines += _text(prediction, asked)
        else:
            lines.append(json.dumps(prediction, indent=2, ensure_ascii=False))
    return "\n".join(lines)


def save_picture(prediction: dict[str, Any], target: Path) -> None:
    """Raises UsageError when the file cannot be written."""
    try:
        target.write_bytes(base64.b64decode(prediction["image"]))
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error


def _labels(rows: list[dict[str, Any]]) -> list[str]:
    width = max(len(str(row["label"])) for row in rows)
    return [
        f"  {_for_terminals(str(row['label'])):<{width}}  {row['score']:6.1%}  {_bar(row['score'])}".rstrip()
        for row in rows
    ]


def _bar(score: float) -> str:
    eighths = round(score * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _text(prediction: dict[str, Any], asked: str) -> list[str]:
    read, written = prediction["prompt_tokens"], prediction["completion_tokens"]
    note = f"  {written} tokens after {read}, ended by {prediction['finish_reason']}"
    return [note, _for_terminals(f"{asked}{prediction['text']}")]


def _written(prediction: dict[str, Any]) -> list[str]:
    """What was made of a text: the answer alone, then the next best."""
    read, written = prediction["source_tokens"], prediction["completion_tokens"]
    note = f"  {written} tokens of {read}, ended by {prediction['finish_reason']}"
    answers = [prediction, *(prediction.get("alternatives") or [])]
    return [note, *(_for_terminals(answer["text"]) for answer in answers)]


def _for_terminals(text: str) -> str:
    """Control characters of a generated text must not steer the reader's terminal."""
    shown = (c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "".join(shown)


def _picture(prediction: dict[str, Any], reply: Reply, asked: str, output: Path | None) -> str:
    name = re.sub(r"[^\w.-]+", "_", asked)[:40] or "picture"
    default = Path(f"{reply.body['model_name']}-{name}-{prediction['seed']}.png")
    target = output or default
    save_picture(prediction, target)
    size = f"{prediction['width']}×{prediction['height']}"
    return f"  wrote {target} ({size} pixels, seed {prediction['seed']})"
