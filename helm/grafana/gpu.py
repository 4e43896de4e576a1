"""The GPUs that Slipway's pods hold: dcgm-exporter's figures beside what the server did with them.

Needs rules/gpu.yaml, which gives dcgm-exporter's series the labels of the pods that hold the GPUs.
"""

from helm.grafana.frame import Board, Row, board
from helm.grafana.parts import rows, series
from helm.grafana.queries import MODEL, SERVER, quantile, rate

_GPU = "{{pod}} GPU {{gpu}} {{GPU_I_ID}}"


def build() -> Board:
    return board(
        "slipway-gpu",
        "Slipway / GPU",
        "Memory, use, power and faults of the GPUs that Slipway's pods hold, and what they did with them.",
        [_device(), _work()],
    )


def _recorded(name: str) -> str:
    return f"namespace_pod_gpu:slipway_gpu_{name}{{{SERVER}}}"


def _device() -> Row:
    return Row(
        "Devices",
        [
            series(
                "Memory", "Share in use.",
                {_GPU: _recorded("memory:ratio")}, "percentunit",
            ),
            series(
                "Anything running",
                "Share of the time. Says that there was work, not how much: a small model can hold it at 1.",
                {_GPU: _recorded("utilization:ratio")}, "percentunit",
            ),
            series(
                "Engine active",
                "Share of the time in which the compute engine was; a profiling field, where it is exported.",
                {_GPU: _recorded("engine_active:ratio")}, "percentunit",
            ),
            series("Power", "Drawn.", {_GPU: _recorded("power:watts")}, "watt"),
            series("Temperature", "Of the chip.", {_GPU: _recorded("temperature:celsius")}, "celsius"),
            series(
                "Last XID error",
                "Its number, 0 for none. It stays until the next one: the change is what happened.",
                {_GPU: _recorded("xid:last")},
            ),
        ],
    )  # fmt: skip


def _work() -> Row:
    # What is refused costs no power worth counting, and should not make the figure look better.
    good = rate("slipway_requests_total", by="namespace, pod", model='!=""', code='=~"2.."')
    watts = f"sum by (namespace, pod) ({_recorded('power:watts')})"
    return Row(
        "What for",
        [
            series(
                "Energy of a good answer",
                "All power that the pod's GPUs draw, idle or not, by the good answers meanwhile.",
                {"{{pod}}": f"{watts} / {good}"}, "joule",
            ),
            series(
                "Workers busy with runs",
                "Seconds of runs per second.",
                {"{{pod}}": rate("slipway_execution_seconds_total", by="pod")},
            ),
            series(
                "In the graph, p95",
                "Time of a run that a request was part of.",
                {"{{model}}": quantile(0.95, "slipway_compute_infer_seconds", "model")}, "s",
            ),
            rows(
                "Providers",
                "Where each model computes. requested and active should be the same.",
                f"max by (pod, model, version, requested_provider, active_provider) "
                f"(slipway_session_info{{{MODEL}}})",
                {
                    "pod": "Pod",
                    "model": "Model",
                    "version": "Version",
                    "requested_provider": "Requested",
                    "active_provider": "Active",
                },
                width=24,
            ),
        ],
    )  # fmt: skip
