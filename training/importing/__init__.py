"""Checkpoints of transformers and sentence-transformers become bundles: read → export → verify → compare
with the library's own answers → publish.

`importer` is the order of the stages, `kinds/` one file a kind of work, `checkpoint` what is read from
disk. Importing this package imports neither torch nor transformers.
"""
