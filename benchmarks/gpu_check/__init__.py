"""`make gpu-check`: does the server do on a GPU what it promises? A report of checks, each with its figure.

    __main__      the command, its exit codes
    prerequisites what is missing on this machine, in sentences
    nvidia        what the driver says: GPUs, memory in use
    workplace     what a check is given to work with
    checks/       one module per question; a check returns results and judges nothing but its own figures
    one           one check in a process of its own
    runner        all of them in turn: a crash, a hang or a failure costs that check alone
    report        Markdown and JSON

Without a GPU nothing runs, and the exit code says so. What fakes can prove is proven by the tests.
"""
