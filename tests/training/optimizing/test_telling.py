"""A bar for who watches, nothing for a log file."""

import io

from rich.console import Console

from training.optimizing.telling import telling
from training.report import Reporter


def said(*, is_terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=is_terminal, width=120)
    with telling(Reporter(console), total=3) as tell:
        tell.doing("onnxruntime:int8-static: harm of layer 2 of 5")
        tell.done_one()
    return text.getvalue()


def test_a_terminal_shows_what_is_being_done() -> None:
    assert "harm of layer 2 of 5" in said(is_terminal=True)


def test_a_log_file_stays_without_control_characters() -> None:
    assert said(is_terminal=False) == ""
