"""What was written is counted once, whoever adds it up."""

import json

from service.observability.meters import ModelMeters
from service.observability.written import WrittenMeters


def filled() -> WrittenMeters:
    meters = WrittenMeters()
    meters.began(7)
    meters.tokens_came(1, 0.5, is_first=True)
    meters.tokens_came(2, 0.2, is_first=False)
    meters.ended("stop", 3, 0.7)
    return meters


def test_the_first_token_and_the_gaps_are_told_apart() -> None:
    meters = filled()
    assert (meters.time_to_first_token.count, meters.time_to_first_token.total) == (1, 0.5)
    assert meters.inter_token_latency.count == 2  # two tokens that came together share 0.2 s
    assert abs(meters.inter_token_latency.total - 0.2) < 1e-9
    assert (meters.prompt_tokens, meters.generation_tokens) == (7, 3)
    assert meters.finished == {"stop": 1}


def test_other_front_ends_counts_are_added_and_their_open_streams_shown() -> None:
    models = [ModelMeters("a", 1) for _ in range(2)]
    for model in models:
        model.written = filled()
        model.written.streams_open = 2
    dump = json.loads(json.dumps(models[1].dump()))
    models[0].add(dump)
    models[0].show([models[0].dump(), dump])
    written = models[0].written
    assert (written.prompt_tokens, written.generation_tokens) == (14, 6)
    assert written.finished == {"stop": 2}
    assert written.e2e_latency.count == 2
    assert written.streams_open == 4
