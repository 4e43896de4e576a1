"""Generation: continuous batching of token-by-token requests over one decoder graph.

request.py       what crosses to the worker and back
options.py       what the operator decides; limits.py derives an engine's bounds from it
host.py          one thread that owns an engine; what a worker process holds
engine.py        a step: deadlines → prefill → decode → events
  admission.py     a request is checked and becomes a row; waiting.py queues it, by priority
  prefill.py       prompts, in chunks or several at once; prefix_cache.py spares what was read before
  encode.py        in its stead for encoder–decoders: sources.py checks them, encoder_graph.py reads them
  decode.py        a token for every row; lookup.py guesses more where one row is alone
  beams.py         beam search, every beam a row
  slots.py         who sits in which row of the cache, and the closing of gaps
  requests.py      every request until its last event; deadlines.py, ledger.py: its time and memory
choosing.py      a token per row, each by its own sampler
sampling.py      logits → token, independent of neighbours
  logits_processors.py  biases, penalties.py, stop tokens and constraints, before a token is chosen
  drawing.py       temperature, min_p, top_k, top_p; ranking.py finds the largest, seeds.py the chance
grammars.py      constraints compiled off the engine's thread; constraint.py follows one answer
cache.py         the slot KV cache and its bindings to the graph; source_cache.py for cross-attention
graph.py         the graph contract, checked at load; exam.py replays the recorded answers
stats.py         what an engine measures, for the front end's metrics
"""
