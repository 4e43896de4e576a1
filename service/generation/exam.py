"""The golden exam of a model's graphs: their recorded answers, by a plain run and by the served path.

Called when a bundle is loaded, before it may answer anybody. The plain run finds a damaged or
misread graph; the second look feeds a recorded prompt in two chunks through a SlotCache, so that a
runtime which copies the cache instead of sharing it, or misplaces a chunk, is found too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ExamFailed
from models.golden import Golden
from models.manifest import Tolerance
from service.generation.cache import SlotCache
from service.generation.encoder_graph import EncoderGraph, Source
from service.generation.graph import DecoderGraph

Array = NDArray[Any]


def examine(
    graph: DecoderGraph,
    golden: Golden,
    tolerance: Tolerance,
    encoder: EncoderGraph | None = None,
) -> float:
    """Largest absolute difference to the recorded answers. Raises ExamFailed."""
    try:
        given, answers, sources = dict(golden.inputs), {}, None
        if encoder is not None:
            ids, mask = given.pop("input_ids"), given.pop("attention_mask")
            answers = _read(encoder, ids, mask)
            lengths = mask.sum(axis=1).astype(np.int32)
            given |= {"cross_lengths": lengths, **answers}
            sources = encoder.read([ids[0, : lengths[0]]])
        names = [name for name in golden.outputs if name not in answers]
        found = graph.session.run(names, given, graph.runs.plain)
        answers |= dict(zip(names, found, strict=True))
        worst = golden.compare(answers, tolerance)
        return max(worst, _through_the_cache(graph, golden, tolerance, sources))
    except ExamFailed:
        raise
    except Exception as error:  # the runtime raises many kinds; the loader is told one
        raise ExamFailed(f"golden exam: the model's graphs cannot be run: {error}") from error


def _read(encoder: EncoderGraph, ids: Array, mask: Array) -> dict[str, Array]:
    """As recorded: padded together, with what the padding leaves."""
    left = encoder.session.run(list(encoder.names), {"input_ids": ids, "attention_mask": mask})
    return dict(zip(encoder.names, left, strict=True))


def _through_the_cache(
    graph: DecoderGraph, golden: Golden, tolerance: Tolerance, sources: list[Source] | None
) -> float:
    """The first golden prompt, fed in chunks to one slot, against the logits of its last position."""
    ids = golden.inputs["ids"][0]
    length = int(golden.inputs["seqlens_k"][0]) + 1
    [index] = np.flatnonzero(golden.inputs["logit_idx"] == length - 1)[:1]
    source_tokens = 0 if sources is None else sources[0][0].shape[1]
    cache = SlotCache(graph, rows=1, length=length, source_tokens=source_tokens)
    if sources is not None and cache.source is not None:
        cache.fit_source(0, source_tokens)
        cache.source.write(0, sources[0])
    half = length // 2 if length >= 4 else 0
    if half:
        cache.feed(0, 0, ids[:half])
    recorded = Golden({}, {"logits": golden.outputs["logits"][index]})
    logits = cache.feed(0, half, ids[half:length])
    worst = recorded.compare({"logits": logits}, tolerance)
    if graph.runs.captures:  # and its last token as a step, captured and replayed
        cache.ids[0], cache.lengths[0] = ids[length - 1], length - 1
        for _ in range(2):
            worst = max(worst, recorded.compare({"logits": cache.decode(1)[0]}, tolerance))
    return worst
