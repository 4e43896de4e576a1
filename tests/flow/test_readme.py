"""`make demo`'s second half, run as a reader would, on briefly trained models; and the table of tasks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.examples.demo_models import DEMO
from docs.examples.questions import QUESTIONS
from tests.flow.conftest import ROOT, Flows
from tests.flow.pages import TaskRow, blocks, task_rows
from training import recipes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = {model.recipe for model in DEMO}


def test_every_model_of_the_demo_is_asked_something() -> None:
    assert set(QUESTIONS) == NAMES


def test_every_kind_of_work_on_pictures_and_texts_is_in_the_demo() -> None:
    works = {recipe.work for recipe in recipes.known() if recipe.modality in ("vision", "text")}
    assert {recipes.get(name).work for name in NAMES} >= works


def test_the_demos_settings_are_ones_that_the_recipes_take() -> None:
    from training.settings import with_settings

    for model in DEMO:
        assert with_settings(recipes.get(model.recipe).build_config(), model.settings)


@pytest.mark.parametrize("row", task_rows(), ids=lambda row: row.anchor)
def test_every_row_of_the_table_of_tasks_leads_to_a_request_that_is_run(row: TaskRow) -> None:
    in_demo = row.recipes & NAMES
    assert in_demo, "no model of the demo does this"
    there = [block for block in blocks() if (block.page, block.anchor) == (row.page, row.anchor)]
    first = there[0]
    assert not first.excuse
    assert "curl -s" in first.text
    assert any(name in first.text for name in in_demo)


def test_the_table_of_tasks_names_every_model_of_the_demo() -> None:
    assert frozenset().union(*(row.recipes for row in task_rows())) >= NAMES


def test_the_demo_reuses_what_is_published_answers_and_ends_without_a_terminal(
    flows: Flows, tmp_path: Path
) -> None:
    shutil.copytree(flows.repository, tmp_path / "models" / "repository")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "docs.examples.demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for name in NAMES:
        assert f"{name}: version 1 is published, reusing it" in result.stdout
        assert re.search(rf"^{name} +asked", result.stdout, re.MULTILINE)
    assert (tmp_path / "runs" / "demo-three.png").read_bytes().startswith(b"\x89PNG")
