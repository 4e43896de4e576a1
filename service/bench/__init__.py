"""`slipway bench`: load on a running server, measured from where its callers are.

The flow: cli → asking (what is sent) → loops (when it is sent) → line and stream (how it travels, and what
comes back) → figures (what it means) → report. It speaks HTTP alone and imports nothing that serves, so that
it measures other servers with OpenAI's completions just as well.
"""
