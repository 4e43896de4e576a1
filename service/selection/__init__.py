"""How a server runs each bundle version: which runtime, on what, in which precision.

    what may be chosen (choice) ──▶ what the operator asks for (wishes)
                                        │ several are left
                                        ▼
    remembered (cache) ◀── decided (decision, by rule) ◀── timed in a process that may die (trial)

`selector` performs these steps for one version. What was chosen travels as a `Choice` with every order to
load the version, and stands with its reason in metadata, the log and a metric.
"""
