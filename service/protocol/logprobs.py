"""Log-probabilities in OpenAI's two shapes: a list of objects for chat, parallel lists for completions."""

from collections.abc import Callable, Sequence
from typing import Any

from service.generation.request import TokenLogprobs

Data = Callable[[int], bytes]
"""Token id → its bytes."""

Pair = tuple[int, TokenLogprobs | None]
"""A token and what is known of it; None for a prompt's first token."""


def for_chat(pairs: Sequence[Pair], data: Data, top: int) -> list[dict[str, Any]]:
    return [
        {
            **_token(data(token), found.logprob),
            "top_logprobs": [_token(data(other), value) for other, value in found.top[:top]],
        }
        for token, found in pairs
        if found is not None
    ]


def for_completion(
    pairs: Sequence[Pair], data: Data, top: int, first_offset: int
) -> dict[str, Any]:
    """`first_offset`: where the first token's text begins, in characters."""
    texts = [data(token).decode("utf-8", "replace") for token, _ in pairs]
    offsets, at = [], first_offset
    for text in texts:
        offsets.append(at)
        at += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [None if found is None else found.logprob for _, found in pairs],
        "top_logprobs": [_best(pair, data, top) for pair in pairs] if top else None,
        "text_offset": offsets,
    }


def _best(pair: Pair, data: Data, top: int) -> dict[str, float] | None:
    """The chosen token is always among them, as OpenAI has it."""
    token, found = pair
    if found is None:
        return None
    chosen = (token, found.logprob)
    return {
        data(other).decode("utf-8", "replace"): value for other, value in (*found.top[:top], chosen)
    }


def _token(data: bytes, logprob: float) -> dict[str, Any]:
    return {"token": data.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(data)}
