"""Pieces of PromQL that panels share. The names of variables are those that `frame` defines.

"All" of a variable is `.*`, which matches an absent label too: requests that reached no model are shown
until a model is chosen.
"""

from collections.abc import Mapping

SERVER = 'namespace=~"$namespace", pod=~"$pod"'
MODEL = f'{SERVER}, model=~"$model", version=~"$version"'
OBJECTIVE = 'namespace=~"$namespace", model=~"$model"'
"""Recorded per model: pods and versions are summed up there."""
NAMESPACE = 'namespace=~"$namespace"'
RANGE = "[$__rate_interval]"


def rate(metric: str, selector: str = MODEL, by: str = "", **matchers: str) -> str:
    """Per second, summed over everything but `by`. `matchers`: label="value", both as PromQL has them."""
    more = "".join(f", {label}{matcher}" for label, matcher in matchers.items())
    return f"{_sum(by)} (rate({metric}{{{selector}{more}}}{RANGE}))"


def total(metric: str, selector: str = MODEL, by: str = "") -> str:
    """A gauge, summed over everything but `by`."""
    return f"{_sum(by)} ({metric}{{{selector}}})"


def mean(metric: str, by: str = "") -> str:
    """What one observation of a histogram was, on average."""
    return f"{rate(f'{metric}_sum', by=by)} / {rate(f'{metric}_count', by=by)}"


def quantile(share: float, metric: str, by: str = "", selector: str = MODEL) -> str:
    inner = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', selector, by=inner)})"


def buckets(metric: str) -> str:
    """For a heat map."""
    return f"sum by (le) (increase({metric}_bucket{{{MODEL}}}{RANGE}))"


def percentiles(metric: str) -> Mapping[str, str]:
    return {f"p{share * 100:g}": quantile(share, metric) for share in (0.5, 0.95, 0.99)}


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
