"""Is it well, and if not, where does the time go? The dashboard to begin with."""

from helm.grafana.capacity import batches, memory, saturation
from helm.grafana.frame import Board, Row, board
from helm.grafana.parts import figure, heat_map, rows, series, states
from helm.grafana.queries import (
    MODEL,
    NAMESPACE,
    OBJECTIVE,
    SERVER,
    buckets,
    percentiles,
    quantile,
    rate,
    total,
)

_REQUEST = "slipway_request_seconds"
_PHASES = {
    "waiting for a run": "slipway_queue_seconds",
    "to the worker and back": "slipway_compute_input_seconds",
    "in the graph": "slipway_compute_infer_seconds",
    "taking outputs apart": "slipway_compute_output_seconds",
}
_DEPLOYMENTS = (
    f"on (namespace, deployment) namespace_deployment:slipway_targets:count{{{NAMESPACE}}}"
)


def build() -> Board:
    return board(
        "slipway-overview",
        "Slipway / Overview",
        "Objectives, traffic, latency, saturation, models, workers and scaling of Slipway's servers.",
        [
            _objectives(),
            _traffic(),
            _latency(),
            saturation(),
            batches(),
            memory(),
            _models(),
            _workers(),
            _scaling(),
        ],
    )


def _objectives() -> Row:
    availability = _month("slipway_request_errors", "slipway_requests")
    latency = _month("slipway_slow_answers", "slipway_answers")
    left = [(None, "red"), (0.0, "orange"), (0.25, "green")]
    return Row(
        "Objectives",
        [
            figure(
                "Availability, 30 days",
                "Share of the answers that were not the server's fault. The objective is 99.9 %.",
                availability, "percentunit", [(None, "red"), (0.999, "green")],
            ),
            figure(
                "Error budget left",
                "Of the 0.1 % of the answers that may fail in 30 days.",
                f"1 - (1 - {availability}) / 0.001", "percentunit", left,
            ),
            figure(
                "In time, 30 days",
                "Answers within 0.25 s; of texts, first tokens within 1 s. The objective is 99 %.",
                latency, "percentunit", [(None, "red"), (0.99, "green")],
            ),
            figure(
                "Latency budget left",
                "Of the 1 % of the answers that may be late in 30 days.",
                f"1 - (1 - {latency}) / 0.01", "percentunit", left,
            ),
            _burn("Burn of the error budget", "slipway_request_errors", 0.001),
            _burn("Burn of the latency budget", "slipway_slow_answers", 0.01),
        ],
    )  # fmt: skip


def _month(bad: str, all_: str) -> str:
    """Weighs every moment by its traffic."""
    of = "sum(sum_over_time(namespace_model:{}:rate5m{{{}}}[30d]))"
    return f"(1 - {of.format(bad, OBJECTIVE)} / {of.format(all_, OBJECTIVE)})"


def _burn(title: str, bad: str, budget: float) -> object:
    ratio = "namespace_model:{}:ratio_rate{}{{{}}} / {}"
    return series(
        title,
        "1: exactly what the budget allows. Above 14.4 over an hour, or 6 over six, somebody is paged.",
        {
            "{{model}}, " + window: ratio.format(bad, window, OBJECTIVE, budget)
            for window in ("1h", "6h")
        },
        width=12,
        steps=[(None, "green"), (6, "orange"), (14.4, "red")],
    )


def _traffic() -> Row:
    answers = "slipway_requests_total"
    per_pod = rate(answers, by="pod", model='!=""')
    rejected = rate("slipway_requests_rejected_total")
    return Row(
        "Traffic",
        [
            series(
                "Answers",
                "By model and HTTP status; without a model: probes, scrapes and paths that led nowhere.",
                {"{{model}} {{code}}": rate(answers, by="model, code")}, "reqps", stacks=True,
            ),
            series(
                "Without a good answer",
                "By reason, the word of the error's code. See docs/http.md.",
                {"{{model}} {{reason}}": rate("slipway_requests_failed_total", by="model, reason")},
                "reqps", stacks=True,
            ),
            series(
                "Refused",
                "Share of the requests that were refused at once, because more came than can be answered.",
                {"of all": f"{rejected} / {rate(answers, model=_SOME)}"},
                "percentunit",
            ),
            series(
                "Dropped before their run",
                "Items whose caller had left, or whose time was over.",
                {"{{reason}}": rate("slipway_items_dropped_total", by="reason")}, "ops",
            ),
            series(
                "Balance",
                "Each pod's share of the requests, against what would be even (1).",
                {"{{pod}}": f"{per_pod} / on () group_left () avg({per_pod})"},
            ),
            series(
                "Connections",
                "Open, by front end: long-lived ones that stick to a pod unbalance it.",
                {"{{pod}} {{frontend}}": total("slipway_open_connections", SERVER, "pod, frontend")},
            ),
        ],
    )  # fmt: skip


_SOME = '!=""'


def _latency() -> Row:
    return Row(
        "Latency",
        [
            series(
                "Latency",
                "From arrival to answer, whatever the answer; points are traces of sampled requests.",
                percentiles(_REQUEST), "s", exemplars=True, logs=True,
            ),
            series(
                "p95 by model",
                "Percentiles of different models do not add up; this is each one's own.",
                {"{{model}}": quantile(0.95, _REQUEST, "model")}, "s", logs=True,
            ),
            series(
                "Where the time goes",
                "Mean of a request, by phase. The rest: reading, pre- and postprocessing, answering; "
                "and all of a text, whose phases are on the generation dashboard.",
                _time_per_phase(), "s", stacks=True,
            ),
            heat_map(
                "Latency of all requests",
                "How many requests fell into each bucket of the server's histogram.",
                buckets(_REQUEST), width=24,
            ),
        ],
    )  # fmt: skip


def _time_per_phase() -> dict[str, str]:
    requests = rate(f"{_REQUEST}_count")
    sums = {legend: rate(f"{metric}_sum") for legend, metric in _PHASES.items()}
    rest = " - ".join([rate(f"{_REQUEST}_sum"), *sums.values()])
    return {legend: f"{query} / {requests}" for legend, query in sums.items()} | {
        # A run is counted when it ends, its request a moment later: never below zero.
        "the rest": f"clamp_min(({rest}) / {requests}, 0)"
    }


def _models() -> Row:
    return Row(
        "Models",
        [
            states(
                "Ready",
                "By version. An old one that is not ready any more has given its place to a newer.",
                {
                    "{{model}}/{{version}}": (
                        f"min by (model, version) (slipway_model_ready{{{MODEL}}})"
                    )
                },
            ),
            rows(
                "Served",
                "What computes where. requested and active differ where a GPU was asked for in vain.",
                f"max by (model, version, requested_provider, active_provider, threads) "
                f"(slipway_session_info{{{MODEL}}}) and on (model, version) "
                f"max by (model, version) (slipway_model_ready{{{MODEL}}}) == 1",
                {
                    "model": "Model",
                    "version": "Version",
                    "requested_provider": "Requested",
                    "active_provider": "Active",
                    "threads": "Threads",
                },
            ),
            rows(
                "Chosen",
                "What runs each version: the runtime, the precision of its variant, where it computes.",
                f"count by (model, version, runtime, precision, provider) "
                f"(slipway_model_runtime_info{{{MODEL}}})",
                {
                    "model": "Model",
                    "version": "Version",
                    "runtime": "Runtime",
                    "precision": "Precision",
                    "provider": "Provider",
                },
                width=24,
            ),
            series(
                "Loading",
                "Opening a version and replaying its golden exam, the last time.",
                {
                    "{{model}}/{{version}}": (
                        f"max by (model, version) (slipway_model_load_seconds{{{MODEL}}})"
                    )
                },
                "s", width=12,
            ),
            series(
                "Loads that failed",
                "By reason, since the pods' start. What was served before still is.",
                {
                    "{{model}}/{{version}} {{reason}}": total(
                        "slipway_model_load_failures_total", by="model, version, reason"
                    )
                },
                width=12,
            ),
        ],
    )  # fmt: skip


def _workers() -> Row:
    return Row(
        "Workers",
        [
            series(
                "Restarts",
                "Processes replaced in a quarter of an hour: lost (they died) or hung (they were killed).",
                {
                    f"{{{{pod}}}} {kind}, {{{{reason}}}}": "sum by (pod, reason) "
                    f"(increase(slipway_{kind}_restarts_total{{{SERVER}}}[15m]))"
                    for kind in ("worker", "frontend")
                },
                width=12,
            ),
            series(
                "Records lost",
                "Lines of the access log and spans that could not be written. Requests are not affected.",
                {"{{pod}} {{sink}}": rate("slipway_records_dropped_total", SERVER, "pod, sink")},
                "ops", width=12,
            ),
        ],
    )  # fmt: skip


def _scaling() -> Row:
    pods = f"count by (namespace) (slipway_server_ready{{{SERVER}}} == 1)"
    work = " + ".join(
        total(f"slipway_{name}_requests", SERVER, "namespace") for name in ("pending", "in_flight")
    )
    start = f'slipway_process_start_time_seconds{{{SERVER}, process="frontend-0"}}'
    loaded = f"slipway_model_load_timestamp_seconds{{{SERVER}}} > 0"
    return Row(
        "Scaling",
        [
            series(
                "Replicas",
                "Asked for, available, and the autoscaler's limit (from kube-state-metrics).",
                {
                    "{{deployment}} wanted": (
                        f"kube_deployment_spec_replicas{{{NAMESPACE}}} and {_DEPLOYMENTS}"
                    ),
                    "{{deployment}} available": (
                        f"kube_deployment_status_replicas_available{{{NAMESPACE}}} and {_DEPLOYMENTS}"
                    ),
                    "{{deployment}} limit": _limit(),
                },
            ),
            series(
                "Work per ready pod",
                "Waiting and in flight: the autoscaler's signal.",
                {"{{namespace}}": f"({work}) / {pods}"},
            ),
            series(
                "From start to the first model",
                "What a new pod costs in time, without the node, the image and the model's files.",
                {
                    "{{pod}}": f"min by (namespace, pod) ({loaded}) "
                    f"- on (namespace, pod) max by (namespace, pod) ({start})"
                },
                "s",
            ),
        ],
    )  # fmt: skip


def _limit() -> str:
    """An autoscaler's name need not be its deployment's: KEDA puts a prefix before it."""
    return (
        "label_replace("
        f"kube_horizontalpodautoscaler_spec_max_replicas{{{NAMESPACE}}} "
        "* on (namespace, horizontalpodautoscaler) group_left (scaletargetref_name) "
        f'kube_horizontalpodautoscaler_info{{{NAMESPACE}, scaletargetref_kind="Deployment"}}, '
        f'"deployment", "$1", "scaletargetref_name", "(.+)") and {_DEPLOYMENTS}'
    )
