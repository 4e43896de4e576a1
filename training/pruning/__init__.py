"""Weights that a network can do without, taken away while it learns (`settings` says how).

settings     the configuration's group
chains       which channels can be taken out of a network without touching what they are added to
magnitude    which weights and channels matter least
callback     hooked into Lightning's loop: zero them, keep them zero, let the others learn on
shrink       the network without its zeroed channels, in really smaller layers
"""
