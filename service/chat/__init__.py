"""Conversations: messages and tools → the text a model was taught to continue, and its answer → messages.

messages   what a caller may send, in the form that templates read
template   the bundle's Jinja template, rendered within bounds
guard      texts of callers stay text: none becomes a control token
encoding   the three above in order: a conversation → token ids
tool_calls   the model's text → content and calls of functions, as it comes
"""
