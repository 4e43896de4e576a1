from pathlib import Path

import pytest
from PIL import Image

from models.errors import UsageError
from service.tuning.plot import draw
from service.tuning.report import rows_of
from tests.service.bundles import digits_bundle
from tests.service.tuning.settings import BF16, FP32, load, outcome, setting


def test_a_picture_is_drawn_also_where_some_loads_had_no_answers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the train extra draws")
    manifest = digits_bundle(tmp_path / "repository").manifest
    outcomes = [
        outcome(setting(FP32), load(40, 30), load(0, None, errors=1.0)),
        outcome(setting(BF16), load(230, 9)),
    ]
    rows = rows_of(outcomes, manifest, (setting(BF16), 8))
    draw(rows, tmp_path / "tuning.png", "p99_ms=50")
    with Image.open(tmp_path / "tuning.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 500
    with pytest.raises(UsageError, match="cannot be written"):
        draw(rows, tmp_path / "nowhere" / "tuning.png", "p99_ms=50")
