"""Codecs: bytes of a protocol ↔ arrays and answers. No HTTP, no registry: pure functions of bytes."""
