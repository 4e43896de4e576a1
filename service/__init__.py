"""Serving: request → validate → preprocess → batch → run → postprocess → respond.

Read `pipeline` first, then `server` (how a process starts and ends). Nothing here imports torch,
transformers or pickle; what a model is comes from the bundle contract in `models`.
"""
