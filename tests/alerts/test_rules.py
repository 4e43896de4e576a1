"""Alerting rules: valid, tested one by one with promtool, about series that exist, and each with its page."""

import copy
import re
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.promql import selectors, unknown_labels
from tests.grafana.series import RULES, labels_of, rules
from tests.tools import tool

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNBOOKS = ROOT / "docs" / "runbooks"
CASES = sorted(HERE.glob("*.test.yaml"))
ALERTS = [rule for rule in rules() if "alert" in rule]
Rule = dict[str, Any]


def name_of(rule: Rule) -> str:
    """A burn rate's windows are rules of their own."""
    return "-".join(filter(None, (rule["alert"], rule["labels"].get("window"))))


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(tool("promtool")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _slow_for_days(path: Path) -> Any:
    marks = pytest.mark.slow if path.name.startswith("slo") else ()
    return pytest.param(path, id=path.name, marks=marks)


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yaml")), ids=lambda path: path.name)
def test_promtool_finds_nothing_wrong(path: Path) -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", [*map(_slow_for_days, CASES)])
def test_alerts_fire_when_they_should_and_else_are_silent(path: Path) -> None:
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_every_rule_has_a_firing_and_a_silent_case(rule: Rule) -> None:
    tests = chain.from_iterable(yaml.safe_load(path.read_text())["tests"] for path in CASES)
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    mine = [case for case in cases if case["alertname"] == rule["alert"]]
    assert any(not case["exp_alerts"] for case in mine), "silent"
    fired = [alert["exp_labels"] for case in mine for alert in case["exp_alerts"]]
    assert any(rule["labels"].items() <= labels.items() for labels in fired), "firing"


@pytest.mark.parametrize(
    "rule", [rule for rule in ALERTS if "window" not in rule["labels"]], ids=name_of
)
@pytest.mark.parametrize("change", ["never fires", "always fires"])
@pytest.mark.slow
def test_the_cases_notice_a_rule_that_is_broken(rule: Rule, change: str, tmp_path: Path) -> None:
    [path] = [
        path for path in RULES.glob("*.yaml") if f"alert: {rule['alert']}\n" in path.read_text()
    ]
    document = copy.deepcopy(yaml.safe_load(path.read_text()))
    for group in document["groups"]:
        for changed in group["rules"]:
            if changed.get("alert") == rule["alert"]:
                changed["expr"] = "vector(1) < 0" if change == "never fires" else "vector(1)"
    (tmp_path / path.name).write_text(yaml.safe_dump(document))
    cases = (HERE / f"{path.stem}.test.yaml").read_text()
    (tmp_path / "cases.test.yaml").write_text(cases.replace("../../helm/slipway/rules/", ""))
    tested = promtool("test", "rules", tmp_path / "cases.test.yaml")
    assert tested.returncode == 1
    assert rule["alert"] in tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or name_of(rule))
def test_a_rule_names_series_and_labels_that_exist(rule: Rule) -> None:
    unknown = {selector.metric for selector in selectors(rule["expr"])} - labels_of().keys()
    assert unknown == set()
    assert unknown_labels(rule["expr"], labels_of()) == []


def test_objectives_are_edges_of_the_servers_histograms() -> None:
    """Otherwise the share of late answers would be a guess within a bucket."""
    from service.observability.histogram import SECONDS

    edges = {edge for rule in rules() for edge in re.findall(r'le="([\d.]+)"', rule["expr"])}
    assert edges == {"0.25", "1.0"}
    assert edges <= {str(bound) for bound in SECONDS}


@pytest.mark.parametrize(
    ("alert", "budget"), [("SlipwayErrorBudgetBurn", 0.001), ("SlipwayLatencyBudgetBurn", 0.01)]
)
def test_burn_rates_use_up_the_share_of_the_month_that_they_should(
    alert: str, budget: float
) -> None:
    """The workbook's: 2 % in an hour, 5 % in six, 10 % in a day and in three; the short window a twelfth."""
    hours = {"5m": 1 / 12, "30m": 0.5, "1h": 1, "2h": 2, "6h": 6, "1d": 24, "3d": 72}
    shares = {}
    for rule in (rule for rule in ALERTS if rule["alert"] == alert):
        found = re.findall(r"ratio_rate(\w+) > ([\d.]+) \* ([\d.]+)", rule["expr"])
        [(long, factor, allowed), (short, again, allowed_again)] = found
        assert (factor, float(allowed)) == (again, budget)
        assert allowed == allowed_again
        assert hours[short] == pytest.approx(hours[long] / 12)
        assert rule["labels"]["window"] == long
        shares[long] = float(factor) * hours[long] / (30 * 24)
    assert shares == pytest.approx({"1h": 0.02, "6h": 0.05, "1d": 0.1, "3d": 0.1})


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_an_alert_says_who_is_called_and_where_to_read_on(rule: Rule) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_runbooks_and_alerts_are_the_same_set() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {rule["alert"] for rule in ALERTS}
    index = (RUNBOOKS / "README.md").read_text()
    assert [name for name in sorted(pages) if f"]({name}.md)" not in index] == []


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_a_runbook_leads_from_meaning_to_remedy(rule: Rule) -> None:
    page = (RUNBOOKS / f"{rule['alert']}.md").read_text()
    assert page.startswith(f"# {rule['alert']}\n")
    heads = re.findall(r"^## (.*)$", page, re.M)
    assert heads == ["What it means", "Look first", "What to do", "When it is wrong"]


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbooks_queries_name_series_that_exist(path: Path) -> None:
    blocks = re.findall(r"```promql\n(.*?)```", path.read_text(), re.DOTALL)
    for query in chain.from_iterable(
        re.split(r"\n\n|^#.*\n", block, flags=re.M) for block in blocks
    ):
        if not query.strip():
            continue
        unknown = {selector.metric for selector in selectors(query)} - labels_of().keys()
        assert unknown == set(), query
        assert unknown_labels(query, labels_of()) == [], query
    named = set(re.findall(r"(?<!:)\bslipway_\w+", path.read_text()))
    assert named <= labels_of().keys()
