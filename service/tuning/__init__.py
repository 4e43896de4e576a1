"""`slipway tune`: which way of running a model is the best on this machine, found by trying.

The flow: cli → space (what may be set) → search (what is tried next) → trial (a real server under real load)
→ pareto and report (what it means) → plan (the choice, beside the bundle). Serving reads `plan` alone.
"""
