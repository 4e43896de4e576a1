"""docs/scaling.md: the prose is written by people, the tables between its marks by this. Pure text.

A block is `<!-- scaling NAME -->` … `<!-- /scaling -->`; what stands between the two is replaced.
"""

import re
from collections.abc import Callable
from typing import Any

from benchmarks.scaling.curve import LEVELS, Measured, Pod
from benchmarks.scaling.experiments import Simulated, best_targets

Row = dict[str, Any]
_BLOCK = re.compile(r"(<!-- scaling (\w+) -->\n).*?(<!-- /scaling -->)", re.DOTALL)


def filled(page: str, measured: Measured, simulated: Simulated) -> str:
    """Raises KeyError for a mark that names no table."""
    texts = blocks(measured, simulated)

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}{texts[match[2]]()}\n{match[3]}"

    return _BLOCK.sub(block, page)


def marks(page: str) -> list[str]:
    return [match[2] for match in _BLOCK.finditer(page)]


def blocks(measured: Measured, simulated: Simulated) -> dict[str, Callable[[], str]]:
    tables = simulated.tables
    return {
        "machine": lambda: _machine(measured),
        "pods": lambda: _pods(measured, simulated),
        "curve": lambda: "\n\n".join(_curve(pod) for pod in measured.pods),
        "assumed": lambda: _assumed(simulated),
        "validation": lambda: _validation(tables["validation"]),
        "one_pod": lambda: _one_pod(tables["one_pod"]),
        "target": lambda: _target(tables["target"]),
        "best": lambda: _best(simulated),
        "cold": lambda: _cold(tables["cold"]),
        "balancing": lambda: _balancing(tables["balancing"]),
        "scale": lambda: _scale(tables["scale"]),
        "cells": lambda: _cells(tables["cells"]),
    }


def table(head: list[str], rows: list[list[str]], label: str) -> str:
    """A Markdown table under the word that says where its figures are from."""
    lines = [f"*{label}*", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def number(value: float) -> str:
    """Three digits, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def percent(value: float) -> str:
    if value and abs(value) < 0.0005:
        return "< 0.1 %"
    return f"{value:.1%}".replace("%", " %")


def _machine(measured: Measured) -> str:
    machine = measured.machine
    loads = ", ".join(f"{load:.1f}" for load in measured.load_average_after)
    return (
        f"Measured on {machine['date'][:10]} with `{measured.command}`: {machine['cpu']}, "
        f"{machine['cores']:g} cores, commit {machine['commit']}. Other programs kept "
        f"{percent(machine['busy_share'])} of all cores busy in the second before, and the load average "
        f"after it was {loads}: this machine was shared, and its stalls are in the curve."
    )


def _pods(measured: Measured, simulated: Simulated) -> str:
    rows = []
    for pod in measured.pods:
        one = pod.profile
        times = [one.frontend_s, one.trip_s, one.trip_row_s, one.rest_s]
        rows.append(
            [
                f"`{one.name}`: {one.title}",
                *(f"{value * 1e3:.2f}" for value in times),
                number(one.start_s),
                number(pod.capacity),
                number(simulated.capacity[one.name]),
            ]
        )
    head = [
        "model",
        "event loop, ms",
        "to the worker and back, ms",
        "per further row, ms",
        "rest, ms",
        "start, s",
    ]
    head += ["closed loop, requests/s", "simulated saturation, requests/s"]
    return table(head, rows, "measured; the last column simulated")


def _curve(pod: Pod) -> str:
    curve = pod.profile.curve
    rows = []
    for place, size in enumerate(curve.rows):
        times = curve.run_s[place]
        rounds = [means[place] for means in pod.mean_ms]
        shown = [times[LEVELS.index(level)] for level in (0.25, 0.5, 0.75, 0.99)]
        rows.append(
            [
                str(size),
                *(f"{value * 1e3:.2f}" for value in shown),
                f"{curve.mean_s(size) * 1e3:.2f}",
                f"{min(rounds):.2f} – {max(rounds):.2f}",
                number(size / curve.mean_s(size)),
            ]
        )
    head = [
        "rows",
        "25 %",
        "median",
        "75 %",
        "99 %",
        "mean",
        "rounds' means",
        "rows/s at the mean",
    ]
    return table(head, rows, f"measured: milliseconds of one run of `{pod.profile.name}`")


def _assumed(simulated: Simulated) -> str:
    one = simulated.assumed
    return (
        f"Assumed, not measured: a pod costs {one.pod_hour_price:g} $ an hour; scheduling and pulling "
        f"take {one.warm_node_s:g} s on a node that has the image and {one.new_node_s:g} s where a node "
        f"has to come first; a cell takes {one.cell_requests_per_s:,.0f} requests/s; no plan "
        f"goes beyond {one.most_busy:g} of saturation. Objective: 99 in 100 "
        f"within {one.objective_s * 1e3:g} ms, at most {percent(one.refused_share)} refused."
    )


_FIGURES = {
    "goodput": "good answers/s",
    "p50_ms": "median, ms",
    "p99_ms": "99th percentile, ms",
    "refused_share": "refused",
    "rows_per_run": "rows per run",
}


def _validation(rows: list[Row]) -> str:
    found = []
    for row in rows:
        shown = percent if row["figure"] == "refused_share" else number
        is_share = row["figure"] == "refused_share"
        points = (row["simulated"] - row["measured"]) * 100
        error = f"{points:+.1f} points" if is_share else f"{row['error']:+.0%}".replace("%", " %")
        found.append(
            [
                f"`{row['pod']}`",
                f"{row['share']:g} × ({number(row['rate'])}/s)",
                _FIGURES[row["figure"]],
                f"{shown(row['measured'])} ({shown(row['lowest'])} – {shown(row['highest'])})",
                shown(row["simulated"]),
                error,
            ]
        )
    head = [
        "model",
        "load",
        "figure",
        "measured: median of rounds (lowest – highest)",
        "simulated",
        "error",
    ]
    return table(head, found, "measured beside simulated")


def _one_pod(rows: list[Row]) -> str:
    found = []
    for row in rows:
        line = [f"`{row['pod']}`", f"{row['share']:g}"]
        for kind in ("poisson", "bursty"):
            one = row[kind]
            line += [number(one["in_flight"]), number(one["p99_ms"]), percent(one["refused_share"])]
        found.append([*line, number(row["poisson"]["rows_per_run"])])
    head = ["model", "load ÷ saturation", "at random: in flight", "p99, ms", "refused"]
    head += ["in bursts: in flight", "p99, ms", "refused", "rows per run (at random)"]
    return table(head, found, "simulated")


def _target(rows: list[Row]) -> str:
    found = [
        [
            f"`{row['pod']}`, {row['workers']} worker{'s' * (row['workers'] > 1)}",
            f"{row['target']:g}",
            number(row["pods"]),
            percent(row["busy_share"]),
            number(row["p99_ms"]),
            percent(row["refused_share"]),
            f"{percent(row['step_refused'])} / {row['step_pods']}",
            f"{percent(row['watched_refused'])} / {row['watched_pods']}",
        ]
        for row in rows
    ]
    head = ["pod", "target", "steady load: pods", "load ÷ saturation", "p99, ms", "refused"]
    head += ["step: refused / most pods", "step with the wait trigger: refused / most pods"]
    return table(head, found, "simulated")


def _best(simulated: Simulated) -> str:
    """A sentence: which target is cheapest."""
    best = best_targets(simulated.tables["target"], simulated.assumed)
    found = [
        f"{row['target']:g} for `{row['pod']}` with {row['workers']} "
        f"worker{'s' * (row['workers'] > 1)} ({number(row['pods'])} pods)"
        for row in best
    ]
    return f"Simulated, the fewest pods that keep the objective under the steady load: {', '.join(found)}."


def _cold(rows: list[Row]) -> str:
    found = []
    for row in rows:
        line = [number(row["before_s"]), number(row["whole_s"])]
        for name in ("double", "fourfold", "ramp"):
            one = row[name]
            line.append(f"{percent(one['refused_share'])}, {number(one['refusing_s'])} s")
        found.append(line)
    head = ["before the process starts, s", "until the first request, s", "× 2 at once"]
    return table(
        [*head, "× 4 at once", "× 4 within 5 minutes"], found, "simulated: refused, for how long"
    )


def _balancing(rows: list[Row]) -> str:
    found = []
    for row in rows:
        line = [f"{row['share']:g}"]
        for choices in ("1", "2", "10"):
            one = row[choices]
            line.append(f"{number(one['p99_ms'])} ms, {percent(one['refused_share'])}")
        found.append(line)
    head = [
        "load ÷ saturation",
        "any pod (a Service)",
        "the better of two",
        "the least busy of all",
    ]
    return table(head, found, "simulated: p99, refused")


def _scale(rows: list[Row]) -> str:
    found = [
        [
            f"{row['rate']:,.0f}",
            "any pod" if row["choices"] == 1 else "the better of two",
            str(row["cells"]),
            str(row["pods_per_cell"]),
            str(row["pods"]),
            percent(row["busy_share"]),
            number(row["p99_ms"]),
            number(row["pod_hours_per_million"]),
            number(row["cost_per_million"]),
        ]
        for row in rows
    ]
    head = [
        "requests/s",
        "balancing",
        "cells",
        "pods a cell",
        "pods in all",
        "load ÷ saturation, one gone",
    ]
    head += ["p99, ms", "pod hours per million", "$ per million (price assumed)"]
    return table(head, found, "simulated")


def _cells(rows: list[Row]) -> str:
    found = []
    for row in rows:
        line = [str(row["cells"]), percent(row["spare"])]
        for name in ("sized", "unsized"):
            one = row[name]
            line += [
                str(one["pods"]),
                f"{percent(one['refused_share'])}, {number(one['p99_ms'])} ms",
            ]
        found.append(line)
    head = ["cells", "spare that N + 1 needs", "N + 1: pods a cell", "refused, p99"]
    head += ["sized for all cells: pods a cell", "refused, p99 in the first 50 s"]
    return table(head, found, "simulated: one cell is lost")
