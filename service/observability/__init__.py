"""What can be known about the server from outside: metrics, access log, traces, vital signs.

`meters` are the cells that requests write to, `metrics` holds them by model, `families` says what is
exported and `exposition` writes it. `observe` goes around every request and hands its `records` to the
`access_log` and to `spans`, which are written off the event loop.
"""
