"""What a worker is told at its start, from the server's settings."""

from dataclasses import dataclass

from models.runtimes.base import SessionOptions
from service.generation.options import DEFAULTS, GenerationOptions


@dataclass(frozen=True)
class HostOptions(SessionOptions):
    """Sessions of all its models are opened with these; `generation`: for models that write text."""

    generation: GenerationOptions = DEFAULTS
