"""docs/gpu.md says what the code says."""

import re
from pathlib import Path

from benchmarks.gpu_check.checks import CHECKS
from docs.generate import gpu_page
from service.gpu_settings import GpuSettings

PAGE = (Path(__file__).parents[4] / "docs" / "gpu.md").read_text()


def test_the_tables_of_options_are_the_codes() -> None:
    assert gpu_page(PAGE) == PAGE, "make docs"
    assert "| `arena_extend_strategy` | `kSameAsRequested` |" in PAGE


def test_every_setting_stands_there_by_its_flag_and_its_variable() -> None:
    for name in GpuSettings.model_fields:
        assert f"| `--{name.replace('_', '-')}` (" in PAGE
        assert f"| `SLIPWAY_{name.upper()}` |" in PAGE


def test_every_check_stands_there_in_order() -> None:
    table = PAGE[PAGE.index("| check (`--only`)") :]
    rows = re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)
    assert rows == [*CHECKS]
