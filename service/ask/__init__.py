"""Asking a model from the command line: question → local or remote answer → something to read.

question.py   what the person typed → what the task takes
local.py      a bundle loaded here and now, through the same pipeline as the server's
remote.py     a running server, over HTTP
render.py     the reply in words and pictures
"""
