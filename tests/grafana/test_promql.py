"""The looking glass itself: what it must find, it finds."""

from tests.grafana.promql import Selector, selectors, substituted, unknown_labels

LABELS = {"a": frozenset(("x", "y")), "b": frozenset(("x", "z"))}


def test_every_selector_is_found_wherever_it_stands() -> None:
    query = 'sum by (x) (rate(a{x="1"}[5m])) / on (x) (b or {__name__="a", y!="2"}) > bool 1'
    assert list(selectors(query)) == [
        Selector("a", frozenset("x")),
        Selector("b", frozenset()),
        Selector("a", frozenset("y")),
    ]


def test_labels_that_nobody_has_are_told() -> None:
    assert unknown_labels('a{z="1"}', LABELS) == ["z in a"]
    assert [said[0] for said in unknown_labels("sum by (x, z) (a)", LABELS)] == ["z"]
    assert [said[0] for said in unknown_labels("sum by (x) (a) / on (y) b", LABELS)] == ["y"]
    assert [said[0] for said in unknown_labels("a * on (x) group_left (q) b", LABELS)] == ["q"]
    assert [said[0] for said in unknown_labels("sum by (x) (sum without (x) (a))", LABELS)] == ["x"]


def test_labels_that_somebody_has_are_not() -> None:
    for query in (
        'sum by (x) (rate(a{y="1"}[5m])) / on (x) group_left (z) b',
        'sum by (n) (label_replace(a, "n", "$1", "x", "(.+)"))',
        "sum without (x) (a) * on (y) group_left () sum by (y) (a)",
        "sum_over_time(a[1d:5m]) * 300",
    ):
        assert unknown_labels(query, LABELS) == []


def test_variables_are_given_their_values() -> None:
    query = 'rate(a{pod=~"$pod", model=~"$model"}[$__rate_interval])'
    assert substituted(query, {"pod": "p-1"}, "20s") == 'rate(a{pod=~"p-1", model=~".*"}[20s])'
