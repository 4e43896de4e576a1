"""Where models run: child processes by default, the server's own process with `--isolation none`.

`base` is the interface; `pool` keeps the children, `process` is what a child runs, `channel` and `arena`
are what passes between them, `host` holds a worker's models, `inprocess` is the small alternative.
"""
