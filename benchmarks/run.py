"""The benchmark from beginning to end: machine → scenarios in turn → report. Nothing else.

Ctrl-C and the time limit end it early; what was measured until then is in the report, and the other rows
say why they have no figure.
"""

import math
import os
import shlex
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.failures import Interrupted, MeasurementFailed, NotAvailable
from benchmarks.harness.machine import Machine, look_at_machine
from benchmarks.harness.options import Options
from benchmarks.harness.plots import draw
from benchmarks.harness.progress import Progress
from benchmarks.harness.report import Chapter, Report
from benchmarks.harness.rounds import Clock
from benchmarks.harness.rows import Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.wrk import wrk_version

_NO_WRK = "not available: wrk is not installed (apt-get install wrk)"


def run(options: Options, scenarios: Sequence[Scenario], progress: Progress) -> Report:
    """Measure, and write report and pictures into `options.results`."""
    began = time.monotonic()
    clock = Clock(options.limit_s)
    machine = look_at_machine(options.checkout)
    chapters = [_measure(scenario, options, machine, clock, progress) for scenario in scenarios]
    report = Report(
        machine=machine,
        command=shlex.join(options.command),
        seconds=options.seconds,
        rounds=options.rounds,
        chapters=chapters,
        load_average_after=os.getloadavg(),
        took_s=time.monotonic() - began,
        stopped=clock.why,
    )
    report.write(options.results)
    draw(report, options.results)
    return report


def _measure(
    scenario: Scenario, options: Options, machine: Machine, clock: Clock, progress: Progress
) -> Chapter:
    rows, began = Rows(scenario.promises), time.monotonic()
    progress.scenario(scenario.title)
    # Not on a RAM disk by choice: bundles are read from where they would be.
    with tempfile.TemporaryDirectory(prefix="slipway-bench-", ignore_cleanup_errors=True) as folder:
        cores = max(1, math.floor(machine.cores))
        bench = Bench(options, Path(folder), cores, clock, progress)
        try:
            _perform(scenario, bench, rows)
        except KeyboardInterrupt:
            clock.why = "interrupted"
    rows.give_up(f"not measured: {clock.why or 'the scenario left it out'}")
    progress.scenario_done()
    took_s = time.monotonic() - began
    return Chapter(scenario.name, scenario.title, rows.finished(), bench.raw, bench.facts, took_s)


def _perform(scenario: Scenario, bench: Bench, rows: Rows) -> None:
    """Whatever keeps a scenario from being measured becomes the reason in its open rows."""
    if scenario.needs_wrk and wrk_version() is None:
        rows.give_up(_NO_WRK)
        return
    try:
        bench.clock.check()
        scenario.measure(bench, rows)
    except Interrupted:
        pass
    except (MeasurementFailed, NotAvailable) as reason:
        rows.give_up(f"not available: {reason}")
    except Exception as error:  # a broken scenario must not cost the others their figures
        rows.give_up(f"not available: {type(error).__name__}: {error}")
