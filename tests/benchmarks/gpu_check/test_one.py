"""Whatever a check raises or prints, its results arrive."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest

from benchmarks.gpu_check import one
from benchmarks.gpu_check.checks import (
    CHECKS,
)
from benchmarks.gpu_check.result import Result
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.failures import MeasurementFailed, NotAvailable


@contextmanager
def instead(patch: pytest.MonkeyPatch, function: Any) -> Iterator[StringIO]:
    patch.setattr(type(CHECKS["parity"]), "load", lambda _: function)
    yield StringIO()


ARGUMENTS = "parity --folder /f --repository /r --provider cuda --device 0 --limit-s 5 --seconds 1 --cores 2"


@pytest.mark.parametrize(
    ("raised", "verdict", "says"),
    [
        (NotAvailable("no text model"), "not run", "no text model"),
        (MeasurementFailed("no answer"), "failed", "no answer"),
        (ZeroDivisionError("x"), "failed", "ZeroDivisionError: x"),
    ],
)
def test_what_a_check_raises_is_its_last_result(
    raised: Exception, verdict: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function(workplace: Workplace) -> Iterator[Result]:
        assert workplace.providers == ("cuda",)
        yield Result("first", "passed")
        raise raised

    with instead(monkeypatch, function) as out:
        assert one.main(ARGUMENTS.split(), out) == 0
    first, last = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["verdict"] == "passed"
    assert (last["verdict"], last["detail"]) == (verdict, says)


def test_what_libraries_print_is_no_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def function(_: Workplace) -> Iterator[Result]:
        print("a banner")
        yield Result("only", "passed")

    with instead(monkeypatch, function) as out:
        one.main(ARGUMENTS.split(), out)
    assert len(out.getvalue().splitlines()) == 1
    assert "a banner" in capsys.readouterr().err
