"""What a run prints: aligned, without control characters, readable by people."""

import pytest

from models.manifest import Evaluation, Gate
from tests.training.fake_work import silent_reporter
from training.report import figure


def test_a_table_is_aligned_and_figures_stand_right() -> None:
    report, text = silent_reporter()
    report.table(("name", "value"), [("a", "1.5"), ("longer", "22.25")])
    assert text.getvalue().splitlines() == [
        "  name    value",
        "  a         1.5",
        "  longer  22.25",
    ]


def test_no_control_characters_reach_a_log_and_markup_is_only_text() -> None:
    report, text = silent_reporter()
    report.stage("train", "[bold]x[/bold]")
    report.line("[red]not markup[/red]")
    report.table(("a",), [("[b]",)])
    assert "\x1b" not in text.getvalue()
    assert "[red]not markup[/red]" in text.getvalue()
    assert "[b]" in text.getvalue()


def test_gates_say_their_verdict_in_words() -> None:
    report, text = silent_reporter()
    gate = Gate(name="floor", limit=0.9, measured=0.5, comparison=">=", passed=False)
    report.gates([gate, gate.model_copy(update={"passed": True})])
    assert text.getvalue().count("FAILED") == 1
    assert text.getvalue().count("passed") == 1


def test_a_simpler_method_that_does_better_is_said_in_words() -> None:
    report, text = silent_reporter()
    main = Evaluation(
        dataset="d",
        split="test",
        metric="accuracy",
        value=0.8,
        samples=10,
        baselines={"tf-idf": 0.9, "majority": 0.5},
    )
    error = main.model_copy(update={"metric": "loss", "higher_is_better": False})
    report.evaluations([main, error])
    notes = [line.strip() for line in text.getvalue().splitlines() if "Note:" in line]
    assert [note.split(" on")[0] for note in notes] == [
        "Note: tf-idf does better",
        "Note: majority does better",
    ]
    assert "accuracy 0.9000 against this model's 0.8000" in notes[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.97214, "0.9721"), (0, "0"), (1.5e-6, "1.50e-06"), (12345.0, "1.23e+04"), (-0.5, "-0.5000")],
)
def test_figures_show_what_says_something(value: float, text: str) -> None:
    assert figure(value) == text
