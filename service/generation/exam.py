"""The golden exam of a decoder graph: its recorded answers, by a plain run and by the served path.

Called when a bundle is loaded, before it may answer anybody. The plain run finds a damaged or
misread graph; the second look feeds a recorded prompt in two chunks through a SlotCache, so that a
runtime which copies the cache instead of sharing it, or misplaces a chunk, is found too.
"""

import numpy as np

from models.errors import ExamFailed
from models.golden import Golden
from models.manifest import Tolerance
from service.generation.cache import SlotCache
from service.generation.graph import DecoderGraph


def examine(graph: DecoderGraph, golden: Golden, tolerance: Tolerance) -> float:
    """Largest absolute difference to the recorded logits. Raises ExamFailed."""
    names = list(golden.outputs)
    try:
        answers = graph.session.run(names, golden.inputs)
        worst = golden.compare(dict(zip(names, answers, strict=True)), tolerance)
        return max(worst, _through_the_cache(graph, golden, tolerance))
    except ExamFailed:
        raise
    except Exception as error:  # the runtime raises many kinds; the loader is told one
        raise ExamFailed(f"golden exam: the decoder graph cannot be run: {error}") from error


def _through_the_cache(graph: DecoderGraph, golden: Golden, tolerance: Tolerance) -> float:
    """The first golden prompt, fed in chunks to one slot, against the logits of its last position."""
    ids = golden.inputs["ids"][0]
    length = int(golden.inputs["seqlens_k"][0]) + 1
    [index] = np.flatnonzero(golden.inputs["logit_idx"] == length - 1)[:1]
    cache = SlotCache(graph, rows=1, length=length)
    half = length // 2 if length >= 4 else 0
    if half:
        cache.feed(0, 0, ids[:half])
    logits = cache.feed(0, half, ids[half:length])
    recorded = Golden({}, {"logits": golden.outputs["logits"][index]})
    return recorded.compare({"logits": logits}, tolerance)
