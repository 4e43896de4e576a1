"""Kinds of work, one module each: what is particular to a task on the way from data to bundle."""
