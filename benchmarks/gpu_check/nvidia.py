"""What NVIDIA's driver says, through nvidia-smi: which GPUs, how much of their memory is in use."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LIMIT_S = 30.0
_SMI = "nvidia-smi"
Query = Callable[[Sequence[str]], str]


class NoDriver(Exception):
    """nvidia-smi is not there or does not answer; the message says which."""


@dataclass(frozen=True)
class Gpu:
    number: int
    name: str
    memory_bytes: int
    driver: str


def ask(arguments: Sequence[str]) -> str:
    """Raises NoDriver."""
    try:
        done = subprocess.run(
            [_SMI, *arguments], capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except FileNotFoundError as error:
        raise NoDriver("nvidia-smi is not installed: there is no NVIDIA driver here") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoDriver(f"nvidia-smi does not answer: {error}") from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise NoDriver(f"nvidia-smi fails: {said[0] if said else f'exit {done.returncode}'}")
    return done.stdout


def gpus(query: Query = ask) -> list[Gpu]:
    """Raises NoDriver."""
    fields = "index,name,memory.total,driver_version"
    said = query([f"--query-gpu={fields}", "--format=csv,noheader,nounits"])
    found = []
    for line in said.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4 and cells[0].isdigit():
            memory_bytes = int(float(cells[2])) << 20 if cells[2][:1].isdigit() else 0
            found.append(Gpu(int(cells[0]), cells[1], memory_bytes, cells[3]))
    return found


def used_bytes(number: int, query: Query = ask) -> int:
    """Of the whole device, by everybody: in containers the driver does not tell processes apart."""
    said = query([f"--id={number}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"])
    try:
        return int(float(said.strip().splitlines()[0])) << 20
    except (IndexError, ValueError) as error:
        raise NoDriver(f"nvidia-smi does not tell the memory in use: {said[:80]!r}") from error
