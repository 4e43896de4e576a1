"""Beyond one machine: a pod's service times are measured, everything larger is simulated, and says so.

    measure.py     a real server → curve.py's Measured, in benchmarks/results/scaling-measured.json
    pod.py         one pod in simulated time, deciding with the server's own batching and admission
    cluster.py     pods behind a balancer, cold starts, autoscaler.py's decisions
    experiments.py what is asked of them → benchmarks/results/scaling.json
    page.py        the tables of docs/scaling.md, from both files

Nothing here is imported by the server.
"""
