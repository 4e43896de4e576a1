"""Tables line up, whatever the figures; JSON has no NaN."""

import json
import math

from service.bench.figures import Figures, Spread
from service.bench.report import Point, document, table

_NOTHING = Spread(math.nan, math.nan, math.nan)


def _figures(**more: object) -> Figures:
    spread = Spread(1.234, 20.5, 12345.6)
    given: dict[str, object] = {
        "seconds": 10.0,
        "asked": 12,
        "requests": 12,
        "requests_per_s": 1.2,
        "output_tokens_per_s": 1234.5,
        "prompt_tokens_per_s": 99.94,
        "prompt_tokens": 16.0,
        "cached_tokens": 0.0,
        "time_to_first_token": spread,
        "between_tokens": spread,
        "whole_answer": spread,
        "late": spread,
    }
    return Figures(**{**given, **more})  # type: ignore[arg-type]


def _row(text: str, name: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.strip().startswith(name)]
    return line.split(name)[1].split()


def test_a_column_per_load_and_a_row_per_measure() -> None:
    points = [Point(_figures(), 1), Point(_figures(errors={"503 queue_full": 3}), 16)]
    text = table(points, generates=True)
    assert len({len(line) for line in text.splitlines()}) == 1
    assert _row(text, "concurrency") == ["1", "16"]
    assert _row(text, "output tokens/s") == ["1,234", "1,234"]
    assert _row(text, "first token, ms  p50") == ["1.23", "1.23"]
    assert _row(text, "errors") == ["0", "3"]
    assert _row(text, "503 queue_full") == ["0", "3"]


def test_models_that_write_no_text_have_no_rows_of_tokens() -> None:
    text = table([Point(_figures(), rate=2.5)], generates=False)
    assert "token" not in text
    assert _row(text, "arrivals") == ["2.5/s"]
    assert _row(text, "sent late, ms  p99") == ["12,346"]


def test_what_was_not_measured_is_a_dash_and_null() -> None:
    point = Point(_figures(whole_answer=_NOTHING), 1, was_interrupted=True)
    assert _row(table([point], generates=True), "whole answer, ms  p50") == ["–"]
    found = json.loads(json.dumps(document([point], {"model": "m"}), allow_nan=False))
    assert found["model"] == "m"
    assert found["points"][0]["whole_answer"]["p50_ms"] is None
    assert found["points"][0]["was_interrupted"] is True
