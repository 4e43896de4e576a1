"""Ways to run a trained graph faster: made, measured through the runtime that serves them, kept or not.

targets      what can be tried: runtime, provider, precision, what it computes in
subject      what is optimized and how it is judged: a training run, or a published bundle
graphs       the file that a precision needs (static: int8 with calibration; halves: fp16; …)
sessions     a target opened by its runtime
examining    differences to the reference, dependence between rows, tolerance of the golden exam
timing       milliseconds and items per second
budget       how much accuracy a variant may cost
search       all of it, target by target, in the order above; start reading there
command      `slipway optimize`: a published version in, the next version out
"""
