"""What of the overview says how much more there is to be had: saturation, batches, memory."""

from helm.grafana.frame import Row
from helm.grafana.parts import series
from helm.grafana.queries import MODEL, SERVER, mean, quantile, rate, total


def saturation() -> Row:
    return Row(
        "Saturation",
        [
            series(
                "Waiting and in flight",
                "Items that wait for a run, and requests being answered: what replicas are scaled by.",
                {
                    "{{model}} waiting": total("slipway_pending_requests", by="model"),
                    "{{model}} in flight": total("slipway_in_flight_requests", by="model"),
                },
            ),
            series(
                "Wait for a run, p95",
                "Admission keeps it near --max-queue-wait-ms; beyond, requests are refused.",
                {"{{model}}": quantile(0.95, "slipway_queue_seconds", "model")}, "s",
            ),
            series(
                "Workers busy with runs",
                "Seconds of runs per second: as many as there are workers is all there is.",
                {"{{pod}}": rate("slipway_execution_seconds_total", by="pod")},
            ),
            series(
                "Processor",
                "Cores that each process uses. A front end at one core is the limit of its event loop.",
                {
                    "{{pod}} {{process}}": rate(
                        "slipway_process_cpu_seconds_total", SERVER, "pod, process"
                    )
                },
            ),
            series(
                "Event loop's lag, p99",
                "How much later than asked the heartbeat came: every request waits as long.",
                {
                    "{{pod}} {{frontend}}": quantile(
                        0.99, "slipway_event_loop_lag_seconds", "pod, frontend", SERVER
                    )
                },
                "s",
            ),
            series(
                "Throttled by the CPU limit",
                "Share of the scheduler's periods in which the container was held back (from cAdvisor).",
                {"{{pod}}": _throttled()}, "percentunit",
            ),
        ],
    )  # fmt: skip


def batches() -> Row:
    missed = rate("slipway_latency_target_missed_total", by="model")
    # Served ones alone: whoever was refused has not waited for a run.
    served = rate("slipway_queue_seconds_count", by="model")
    return Row(
        "Batches",
        [
            series(
                "Items in a run",
                "Mean size of a batch, and the most that one takes now, by cost and latency target.",
                {
                    "{{model}}": mean("slipway_batch_size", "model"),
                    "{{model}} at most": (
                        f"max by (model) (slipway_batch_size_limit{{{MODEL}}})"
                    ),
                },
                width=12,
            ),
            series(
                "Batches that left somebody waiting",
                "By what bounded them. cost: more would not have paid; target: it would have been late.",
                {"{{model}} {{reason}}": rate("slipway_batches_bounded_total", by="model, reason")},
                "ops", width=12,
            ),
            series(
                "Latency targets",
                "What 95 of 100 answers should not take longer than, where --latency-target says so.",
                {"{{model}}": f"max by (model) (slipway_latency_target_seconds{{{MODEL}}})"}, "s",
            ),
            series(
                "Later than their target",
                "Share of the answers. Up to a twentieth is what the target allows.",
                {"{{model}}": f"{missed} / {served}"},
                "percentunit", steps=[(None, "green"), (0.05, "red")],
            ),
            series(
                "How targets are followed",
                "late: runs were bounded tighter; early: wider; unreachable: bounds were lifted.",
                {
                    "{{model}} {{reason}}": rate(
                        "slipway_batch_limit_changes_total", by="model, reason"
                    )
                },
                "ops",
            ),
        ],
    )  # fmt: skip


def memory() -> Row:
    return Row(
        "Memory",
        [
            series(
                "By process",
                "Resident; what processes share is counted for each of them.",
                {
                    "{{pod}} {{process}}": total(
                        "slipway_process_resident_memory_bytes", SERVER, "pod, process"
                    )
                },
                "bytes", stacks=True,
            ),
            series(
                "By model",
                "What loading took in all workers, and what its largest batch may come to take besides.",
                {
                    "{{model}} loaded": total("slipway_model_memory_bytes", by="model"),
                    "{{model}} promised": total("slipway_model_memory_promised_bytes", by="model"),
                },
                "bytes",
            ),
            series(
                "Room",
                "A model is loaded only if it fits into what is free and not promised to others.",
                {
                    "{{pod}} limit": total("slipway_memory_limit_bytes", SERVER, "pod"),
                    "{{pod}} free": total("slipway_memory_free_bytes", SERVER, "pod"),
                    "{{pod}} promised": total("slipway_memory_reserved_bytes", SERVER, "pod"),
                },
                "bytes",
            ),
        ],
    )  # fmt: skip


def _throttled() -> str:
    periods = "container_cpu_cfs{}_periods_total"
    part = 'sum by (namespace, pod) (rate({}{{{}, container!=""}}[$__rate_interval]))'
    shares = (part.format(periods.format(which), SERVER) for which in ("_throttled", ""))
    return f'{" / ".join(shares)} and on (namespace, pod) up{{job="slipway"}}'
