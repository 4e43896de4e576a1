"""What a PromQL expression names: its metrics, and the labels that it matches, groups by and joins on."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import promql_parser as promql

_CHILDREN = ("lhs", "rhs", "expr", "vector_selector")


class Selector(NamedTuple):
    """`labels`: those that are matched."""

    metric: str
    labels: frozenset[str]


def substituted(query: str, values: Mapping[str, str] | None = None, window: str = "1m") -> str:
    """As Grafana sends it. Variables without a value stand at "All"."""
    query = query.replace("$__rate_interval", window)
    for name in ("namespace", "pod", "model", "version"):
        query = query.replace(f"${name}", (values or {}).get(name, ".*"))
    return query


def selectors(query: str) -> Iterator[Selector]:
    for node in _nodes(promql.parse(query)):
        if isinstance(node, promql.VectorSelector):
            matchers = node.matchers.matchers
            named = [matcher.value for matcher in matchers if matcher.name == "__name__"]
            labels = frozenset(matcher.name for matcher in matchers) - {"__name__"}
            yield Selector(node.name or named[0], labels)


def unknown_labels(query: str, labels_of: Mapping[str, frozenset[str]]) -> list[str]:
    """Labels that no series beneath can have, as `label in expression`. `labels_of`: by metric; each of the
    query's must be there."""
    found = [
        f"{label} in {selector.metric}"
        for selector in selectors(query)
        for label in sorted(selector.labels - labels_of[selector.metric])
    ]
    for node in _nodes(promql.parse(query)):
        below = frozenset().union(*(_available(child, labels_of) for child in _children(node)))
        found += [f"{label} in {node.prettify()}" for label in _named_by(node) - below]
    return found


def _named_by(node: Any) -> set[str]:
    """Labels of by (…), on (…) and group_left (…)."""
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql.AggregateExpr):
        return set(modifier.labels) if modifier is not None else set()
    if isinstance(node, promql.BinaryExpr) and modifier is not None:
        matching = modifier.matching
        return {*(matching.labels if matching is not None else ()), *(modifier.group_labels or ())}
    return set()


def _available(node: Any, labels_of: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Labels that a node's result may have."""
    if isinstance(node, promql.VectorSelector):
        [selector] = selectors(node.prettify())
        return labels_of[selector.metric]
    below = frozenset().union(*(_available(child, labels_of) for child in _children(node)))
    if isinstance(node, promql.AggregateExpr):
        modifier = node.modifier
        if modifier is None:
            return frozenset()
        by = modifier.type == promql.AggModifierType.By
        return frozenset(modifier.labels) if by else below - frozenset(modifier.labels)
    if isinstance(node, promql.Call) and node.func.name == "label_replace":
        return below | {node.args[1].val}
    return below


def _children(node: Any) -> list[Any]:
    found = [getattr(node, name) for name in _CHILDREN if hasattr(node, name)]
    return [child for child in (*found, *getattr(node, "args", ())) if child is not None]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in _children(node):
        yield from _nodes(child)
