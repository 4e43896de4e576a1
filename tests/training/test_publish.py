"""Publication completes the bundle, and an exam its own model fails never goes out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.errors import ExamFailed
from models.manifest import GOLDEN_FILE
from tests.training.fake_work import prepared
from training.card import render
from training.provenance import provenance, versions
from training.publish import write_golden
from training.work import Arrays, CardTable


def test_an_exam_that_its_own_model_fails_is_refused(tmp_path: Path) -> None:
    work = prepared()
    draft = work.draft(work.lightning_module())
    changing: Iterator[int] = iter(range(9))

    def moody(inputs: object) -> Arrays:
        return {"logits": np.full((3, 2), next(changing), dtype=np.float32)}

    with pytest.raises(ExamFailed):
        write_golden(work, draft, moody, tmp_path / GOLDEN_FILE)


def test_provenance_is_enough_to_train_again() -> None:
    config = prepared(seed=5).config
    origin = provenance(config, "a" * 64, 1.234567)
    assert type(config).model_validate(origin.config) == config
    assert origin.seed == 5
    assert origin.duration_s == 1.23
    assert {"python", "torch", "onnxruntime"} <= versions().keys()


def test_a_card_says_every_part_also_where_there_is_nothing_to_say() -> None:
    work = prepared()
    card = render(work.draft(work.lightning_module()), {"train": "1 | 2"}, [])
    for heading in ("Data", "Figures", "Gates", "Variants", "Limits", "Where it comes from"):
        assert f"## {heading}" in card
    assert "1 ∣ 2" in card  # a bar in a value must not end the table's cell
    assert "None beside fp32." in card


def test_a_cards_own_tables_follow_its_figures() -> None:
    work = prepared()
    tables = (CardTable("Confusions", ("class", "items"), (("a", "3"),), "What for what."),)
    card = render(work.draft(work.lightning_module()), {}, [], tables)
    section = card[card.index("## Confusions") : card.index("## Gates")]
    lines = [line for line in section.splitlines() if line]
    assert lines == [
        "## Confusions",
        "What for what.",
        "| class | items |",
        "|---|---|",
        "| a | 3 |",
    ]
    assert card.index("## Figures") < card.index("## Confusions")
