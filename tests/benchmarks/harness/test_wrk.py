"""wrk's own words become figures, and what is not worth reporting becomes a reason."""

import pytest

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.wrk import parse

GOOD = """\
Running 3s test @ http://127.0.0.1:8000/v2/models/mlp/infer
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.97ms    1.28ms  31.87ms   96.05%
    Req/Sec    21.86k     2.10k   24.87k    80.00%
  Latency Distribution
     50%  812.00us
     75%    3.12ms
     90%    3.41ms
     99%    1.25s
  65312 requests in 3.00s, 19.43MB read
Requests/sec:  21757.28
Transfer/sec:      6.47MB
"""


def test_counts_rates_and_units_are_read() -> None:
    result = parse(GOOD)
    assert (result.requests, result.rate) == (65312, 21757.28)
    assert (result.p50_ms, result.p99_ms) == (pytest.approx(0.812), 1250.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("  Non-2xx or 3xx responses: 17\n", "17 answers were not 2xx"),
        ("  Socket errors: connect 0, read 3, write 0, timeout 0\n", "read 3"),
    ],
)
def test_refusals_and_broken_connections_are_no_figures(line: str, reason: str) -> None:
    with pytest.raises(MeasurementFailed, match=reason):
        parse(GOOD + line)


def test_a_run_without_answers_is_no_figure() -> None:
    with pytest.raises(MeasurementFailed, match="no answer"):
        parse(GOOD.replace("65312 requests in", "0 requests in"))
    with pytest.raises(MeasurementFailed, match="no answer"):
        parse("Running 1s test\n")
