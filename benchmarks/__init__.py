"""Measurements of speed, each a script of its own: `python -m benchmarks.<name>`. Bounded, loopback only."""
