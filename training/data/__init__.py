"""Readers of the data formats people have, one module each."""
