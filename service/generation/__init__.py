"""Generation: continuous batching of token-by-token requests over one decoder graph.

request.py   what crosses to the worker and back
host.py      one thread that owns an engine; what a worker process holds
engine.py    admission, chunked prefill, decode, compaction: the schedule
sampling.py  logits → token, independent of neighbours
cache.py     the slot KV cache and its bindings to the graph
graph.py     the graph contract, checked at load
"""
