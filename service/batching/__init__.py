"""From single requests to runs and back: one batcher per model version.

`admission` says who may wait, `backlog` (with `group` and `fairness`) holds them in order, `batcher` decides
when a batch goes, `sizing` (with `draft`) how large it is, `assembly` stacks and splits it, `execution` has
it run, `isolate` finds the guilty of a failed one. `cost` and `drain` measure what that takes, `latency`
follows a target; `limits` are what a manifest and an operator ask for.
"""
