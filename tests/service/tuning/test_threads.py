from pathlib import Path

import pytest

from models.bundle import Bundle
from service.lifecycle.version_policy import VersionPolicy
from service.settings import Settings, load_settings
from service.threads import ThreadPlan
from service.tuning import plan as plan_module
from service.tuning import threads as module
from service.tuning.plan import plan_file, write_plan
from service.tuning.threads import thread_plan
from tests.service.bundles import digits_bundle, language_bundle
from tests.service.tuning.test_plan import HERE, plan_of

USUAL, TUNED = ThreadPlan(2, 1, 2), ThreadPlan(1, 2, 2)


@pytest.fixture(autouse=True)
def two_cores_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 2.0)
    monkeypatch.setattr(plan_module, "fingerprint", lambda: HERE)


@pytest.fixture
def tuned(tmp_path: Path) -> Bundle:
    bundle = digits_bundle(tmp_path / "repository")
    write_plan(bundle, plan_of(bundle))
    return bundle


def settings(tmp_path: Path, **more: object) -> Settings:
    return load_settings(repository=tmp_path / "repository", **more)


def test_a_server_of_one_tuned_model_has_its_workers(tuned: Bundle, tmp_path: Path) -> None:
    assert thread_plan(settings(tmp_path)) == TUNED


def test_a_single_thread_that_was_tuned_stays_single(tuned: Bundle, tmp_path: Path) -> None:
    write_plan(tuned, plan_of(tuned, workers=1, threads=1))
    assert thread_plan(settings(tmp_path)) == ThreadPlan(1, 1, 1)


@pytest.mark.parametrize("said", [{"workers": 2}, {"threads": 2}])
def test_what_the_operator_says_wins(tuned: Bundle, tmp_path: Path, said: dict[str, int]) -> None:
    assert thread_plan(settings(tmp_path, **said)) == USUAL


def test_beside_a_model_without_a_plan_nothing_is_tuned(tuned: Bundle, tmp_path: Path) -> None:
    language_bundle(tmp_path / "repository")
    assert thread_plan(settings(tmp_path)) == USUAL
    assert thread_plan(settings(tmp_path, model=("digits",))) == TUNED
    assert thread_plan(settings(tmp_path, model=("digits", "*"))) == USUAL


def test_models_whose_plans_differ_get_the_usual(tuned: Bundle, tmp_path: Path) -> None:
    other = language_bundle(tmp_path / "repository")
    write_plan(other, plan_of(other))
    assert thread_plan(settings(tmp_path)) == TUNED
    write_plan(other, plan_of(other, workers=2, threads=1))
    assert thread_plan(settings(tmp_path)) == USUAL


def test_the_plan_is_that_of_the_version_served(tuned: Bundle, tmp_path: Path) -> None:
    digits_bundle(tmp_path / "repository")  # version 2, which nobody tuned
    assert thread_plan(settings(tmp_path)) == USUAL
    first = VersionPolicy.parse("specific=1")
    assert thread_plan(settings(tmp_path, version_policy=first)) == TUNED


def test_a_damaged_plan_counts_as_none_and_whoever_loads_it_says_so(
    tuned: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan_file(tuned).write_text("{")
    assert thread_plan(settings(tmp_path)) == USUAL
    assert not caplog.records


def test_without_a_repository_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert thread_plan(settings(tmp_path)) == USUAL


def test_where_requests_tell_what_is_loaded_nothing_is_tuned(tuned: Bundle, tmp_path: Path) -> None:
    explicit = settings(tmp_path, model_control_mode="explicit")
    assert thread_plan(explicit) == USUAL
