"""Where models run: child processes by default, the server's own process with `--isolation none`.

`base` is the interface. On the front end's side: `pool` is the whole, `supervisor` keeps the `child`ren
alive, `dispatch` decides which `connection` takes which batch. On the worker's side: `process` is what a
child runs, `serving` its main loop, `host` holds its models, `watchdog` stops what takes too long. Between
them: `channel` and `arena` carry messages and tensors, `pulse` says what the worker is doing, `wiring` is
all of that for one connection. `inprocess` is the small alternative.

A worker serves several front ends. One, the primary, owns the process: it alone loads, unloads and gives
handles, and the worker ends with it. For every other front end the primary calls `Child.attach()`, which
gives a `Wiring`; its descriptors (`for_front_end`) travel to that process over a Unix socket (SCM_RIGHTS),
after which the primary closes its copy. The other process builds `Connection(Wiring.of(number, descriptors),
dispatcher)`, fills `connection.handles` with what the worker holds, and calls `dispatcher.add(connection)`.
A `Dispatcher` needs no process: `submit`, `run` and `generate` take a `Hosted` record, which the other
process makes with `Hosted.of(bundle, handle)` from the bundle on disk and the handle that the primary tells
(handles are never used twice). When a model is loaded or unloaded, the primary tells, and the other process
adds or discards the handle. When a worker ends, each front end notices by itself: `Dispatcher.on_end` is
called with the lost connection, what it held is answered or moved, and the primary offers an attachment to
the replacement once it is up.
"""
