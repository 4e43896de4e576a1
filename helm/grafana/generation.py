"""Text generation: what readers wait for, what the engine writes, and what its memory holds."""

from helm.grafana.frame import Board, Row, board
from helm.grafana.parts import heat_map, series
from helm.grafana.queries import buckets, mean, percentiles, quantile, rate, total

_FIRST = "slipway_time_to_first_token_seconds"
_GAP = "slipway_inter_token_latency_seconds"
_WHOLE = "slipway_e2e_request_latency_seconds"


def build() -> Board:
    return board(
        "slipway-generation",
        "Slipway / Text generation",
        "First tokens, gaps between tokens, tokens per second, slots and memory of text models.",
        [_waiting(), _writing(), _engine(), _memory()],
    )


def _waiting() -> Row:
    return Row(
        "What readers wait for",
        [
            series(
                "Time to the first token",
                "From a request's arrival. The objective: 99 % within 1 s.",
                percentiles(_FIRST), "s", logs=True, steps=[(None, "green"), (1, "red")],
            ),
            series(
                "Between tokens",
                "Gaps as they leave the server. People read some five words a second: 0.2 s.",
                percentiles(_GAP), "s", logs=True,
            ),
            series("Whole answer", "To the last token.", percentiles(_WHOLE), "s", logs=True),
            heat_map("First tokens", "How many came after how long.", buckets(_FIRST), width=12),
            heat_map("Gaps", "How many tokens followed after how long.", buckets(_GAP), width=12),
        ],
    )  # fmt: skip


def _writing() -> Row:
    return Row(
        "What is written",
        [
            series(
                "Tokens written",
                "Per second.",
                {"{{model}}": rate("slipway_generation_tokens_total", by="model")}, "ops",
            ),
            series(
                "Tokens read",
                "Of prompts, per second; computed ones are those that no kept prompt had already.",
                {
                    "{{model}} read": rate("slipway_prompt_tokens_total", by="model"),
                    "{{model}} computed": rate("slipway_prefill_tokens_total", by="model"),
                },
                "ops",
            ),
            series(
                "Answers, by how they ended",
                "stop: the model was done. length: the limit. abort: the caller had left.",
                {"{{model}} {{finished_reason}}": rate(
                    "slipway_request_success_total", by="model, finished_reason"
                )},
                "reqps", stacks=True,
            ),
            series(
                "Left the engine",
                "By reason; displaced: gave its place to a higher priority.",
                {"{{model}} {{reason}}": rate("slipway_generation_ended_total", by="model, reason")},
                "reqps", stacks=True,
            ),
            series(
                "Tokens of a prompt and of an answer",
                "Means.",
                {
                    "{{model}} prompt": mean("slipway_request_prompt_tokens", "model"),
                    "{{model}} answer": mean("slipway_request_generation_tokens", "model"),
                },
            ),
            series(
                "Event streams",
                "Open at the moment.",
                {"{{model}}": total("slipway_streams_open", by="model")},
            ),
        ],
    )  # fmt: skip


def _engine() -> Row:
    steps = rate("slipway_generation_steps_total", by="model")
    slots = total("slipway_generation_slots", by="model")
    return Row(
        "Engine",
        [
            series(
                "Running and waiting",
                "Requests with a slot, those without one, and how many slots there are.",
                {
                    "{{model}} running": total("slipway_num_requests_running", by="model"),
                    "{{model}} waiting": total("slipway_num_requests_waiting", by="model"),
                    "{{model}} slots": slots,
                },
            ),
            series(
                "A step",
                "Mean time: one token of every running request.",
                {"{{model}}": f"{rate('slipway_generation_step_seconds_total', by='model')} / {steps}"},
                "s",
            ),
            series(
                "Tokens in a step",
                "Written, and read of prompts on the way.",
                {
                    "{{model}} written": f"{rate('slipway_decode_tokens_total', by='model')} / {steps}",
                    "{{model}} read": f"{rate('slipway_prefill_tokens_total', by='model')} / {steps}",
                },
            ),
            series(
                "Busy",
                "Share of the time in which the engine was in a step.",
                {"{{pod}} {{model}}": rate("slipway_generation_step_seconds_total", by="pod, model")},
                "percentunit",
            ),
            series(
                "Guessed tokens that were right",
                "Of those guessed from the text so far (--generation-lookup-tokens).",
                {"{{model}}": f"{rate('slipway_spec_decode_accepted_tokens_total', by='model')} "
                 f"/ {rate('slipway_spec_decode_draft_tokens_total', by='model')}"},
                "percentunit",
            ),
            series(
                "First token, p95 by model",
                "Each model's own.",
                {"{{model}}": quantile(0.95, _FIRST, "model")}, "s",
            ),
        ],
    )  # fmt: skip


def _memory() -> Row:
    cells = "slipway_kv_cache{}_bytes"
    return Row(
        "Memory",
        [
            series(
                "Keys and values",
                "Share that running requests may come to need. At 1 further ones wait.",
                {"{{model}}": f"{total(cells.format('_reserved'), by='model')} "
                 f"/ {total(cells.format(''), by='model')}"},
                "percentunit",
            ),
            series(
                "Kept prompts",
                "Memory of beginnings that are not computed twice.",
                {"{{model}}": total("slipway_prefix_cache_bytes", by="model")}, "bytes",
            ),
            series(
                "Prompts whose beginning was kept",
                "Of those that were long enough.",
                {"{{model}}": _hits()}, "percentunit",
            ),
            series(
                "Prompt tokens that were copied",
                "Instead of computed, of all that were read.",
                {"{{model}}": f"{rate('slipway_prefix_cache_hit_tokens_total', by='model')} "
                 f"/ {rate('slipway_prompt_tokens_total', by='model')}"},
                "percentunit", width=12,
            ),
            series(
                "Kept prompts that had to go",
                "Blocks of 64 tokens per second: many mean that --generation-prefix-cache-bytes is small.",
                {"{{model}}": rate("slipway_prefix_cache_evictions_total", by="model")}, "ops", width=12,
            ),
        ],
    )  # fmt: skip


def _hits() -> str:
    hits = rate("slipway_prefix_cache_hits_total", by="model")
    return f"{hits} / ({hits} + {rate('slipway_prefix_cache_misses_total', by='model')})"
