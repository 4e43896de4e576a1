"""Checks of requests to an encoder–decoder that need the loaded model; for admission."""

from service.errors import BadRequest
from service.generation.ledger import KvLedger
from service.generation.limits import EngineLimits
from service.generation.request import GenerationRequest, SamplingParams


def check_source(
    request: GenerationRequest, tokens: int, limits: EngineLimits, ledger: KvLedger
) -> None:
    """`tokens`: prompt and longest answer. Raises BadRequest."""
    size, params = len(request.source_ids), request.sampling
    if not 1 <= size <= limits.source_tokens:
        raise BadRequest(
            f"the source has {size} tokens; this model reads from 1 to {limits.source_tokens}"
        )
    if len(request.prompt_ids) != 1 or request.prompt_logprobs is not None:
        raise BadRequest("an encoder–decoder's answer begins with one token, which has no score")
    if params.num_beams == 1:
        return
    if params.num_beams > limits.slots:
        raise BadRequest(
            f"num_beams {params.num_beams}: this server gives the model {limits.slots} slots, and "
            "every beam takes one"
        )
    needed = params.num_beams * ledger.bytes_of(tokens)
    if needed > ledger.total_bytes:
        raise BadRequest(
            f"{params.num_beams} beams of {tokens} tokens take {needed:,} bytes of keys and values; "
            f"this server gives the model {ledger.total_bytes:,}"
        )
    if odd := _drawn(params):
        raise BadRequest(f"a beam search draws nothing and penalises nothing: it takes no {odd}")


def _drawn(params: SamplingParams) -> str:
    """The first parameter that only means something where single tokens are chosen."""
    for name, neutral in (
        ("temperature", 0.0),
        ("repetition_penalty", 1.0),
        ("presence_penalty", 0.0),
        ("frequency_penalty", 0.0),
        ("logprobs", None),
        ("constraint", None),
    ):
        if getattr(params, name) != neutral:
            return name
    return ""
