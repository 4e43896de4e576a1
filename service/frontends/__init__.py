"""`--frontends N`: several processes speak HTTP on one port and share the workers.

The primary is the process that was started. It owns the workers, the models' lifecycle and the sums of the
metrics, and serves requests as well. Secondaries are its children: they accept from the same listening
socket, have connections of their own to every worker and batchers of their own, and mirror the registry.

    base.py        what a server asks of its front ends, and the usual case: there is one
    balance.py     who accepts the next connection
    control.py     JSON messages between primary and secondary, with descriptors
    settings.py    the primary's settings, which are the secondaries' too
    snapshot.py    what a secondary is told of models and workers
    primary.py     starts, feeds, watches and ends the secondaries
    secondary.py   a secondary's life
    mirror.py      its registry, following the primary's
    remote_pool.py its workers, which it does not own
    process.py     the program that a secondary runs

Not promised: that two front ends see a change of models at the same instant. An answer to load or unload
is given when all of them have.
"""
