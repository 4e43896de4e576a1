"""A server of ours as a process of its own, for one trial: started on a free port, watched, ended for sure.

It serves one version from a repository that holds nothing else: a link to the real folder, and the plan that
is tried beside it. So a trial measures what a server will do that finds this plan, by the same code.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from models.bundle import Bundle
from models.errors import SlipwayError
from service.ask.call import call
from service.bench.target import Target
from service.selection.choice import REFERENCE_RUNTIME
from service.tuning.plan import TuningPlan, plan_file

_END_S = 15.0
_LOOK_S = 0.01
_START_S = 120.0
_ANNOUNCED = re.compile(r"at (http://\S+)")
_LONGEST_WORDS = 300


class TrialFailed(SlipwayError):
    """This setting cannot be served; in the server's own words."""

    reason = "trial"


@dataclass(frozen=True)
class TrialServer:
    """One that answers."""

    target: Target
    pid: int

    def memory_bytes(self) -> int:
        """Of all its processes; pages that several share are counted once."""
        return sum(map(proportional_bytes, family(self.pid)))


@contextmanager
def trial_server(bundle: Bundle, plan: TuningPlan, provider: str) -> Iterator[TrialServer]:
    """Serves `bundle` as `plan` says, until the block ends. Raises TrialFailed.

    In a session of its own: Ctrl-C in the terminal reaches this program alone, which ends the server.
    """
    with (
        tempfile.TemporaryDirectory(prefix="slipway-tune-") as folder,
        tempfile.TemporaryFile() as errors,
    ):
        _lay_out(Path(folder), bundle, plan)
        with subprocess.Popen(
            command(Path(folder), bundle, plan, provider),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(os.environ),
            start_new_session=True,
        ) as process:
            try:
                url = _wait(process, errors)
                yield TrialServer(Target.of(url, {}), process.pid)
            finally:
                _end(process)


def command(repository: Path, bundle: Bundle, plan: TuningPlan, provider: str) -> list[str]:
    """What is the process's and not the version's is told by flags."""
    cores = plan.workers * plan.threads
    return [
        *(sys.executable, "-m", "slipway", "serve", "--port", "0"),
        *("--repository", str(repository), "--model", bundle.name, "--provider", provider),
        *("--workers", str(plan.workers), "--threads", str(cores), "--no-access-log"),
    ]


def _lay_out(repository: Path, bundle: Bundle, plan: TuningPlan) -> None:
    model = repository / bundle.name
    model.mkdir()
    (model / str(bundle.version)).symlink_to(bundle.path.resolve(), target_is_directory=True)
    (model / plan_file(bundle).name).write_bytes(plan.to_json())


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without settings meant for other servers: the plan and the flags say everything."""
    return {name: value for name, value in given.items() if not name.startswith("SLIPWAY_")}


def _wait(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> str:
    """The address, once it answers. Raises TrialFailed."""
    limit = time.monotonic() + _START_S
    while time.monotonic() < limit:
        text = _text(errors)
        if found := _ANNOUNCED.search(text):
            return found.group(1)
        if process.poll() is not None:
            raise TrialFailed(last_words(_text(errors)))
        time.sleep(_LOOK_S)
    raise TrialFailed(f"it was not ready within {_START_S:g} s")


def last_words(log: str) -> str:
    """Why it ended: its last warning or error, since the very last line only says that there was one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("ERROR ", "WARNING "))]
    chosen = (telling or lines)[-1:]
    return chosen[0].partition(" ")[2][:_LONGEST_WORDS] if chosen else "it ended without a word"


def serves(server: TrialServer, bundle: Bundle) -> tuple[str, str]:
    """Runtime and precision in force, as the server tells it. Raises RemoteRefused."""
    config = call(f"{server.target.url}/v2/models/{bundle.name}/config")[0]
    told = config["parameters"]
    runtime, precision = (told.get(name, {}) for name in ("runtime", "precision"))
    return runtime.get("string_value", REFERENCE_RUNTIME), precision.get("string_value", "")


def family(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """The process and all its descendants, as far as they still live."""
    children: dict[int, list[int]] = {}
    for stat in proc.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The program's name stands in parentheses and may itself hold some.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def proportional_bytes(pid: int, proc: Path = Path("/proc")) -> int:
    """Its proportional set size; 0 once it has ended, or where the kernel does not tell."""
    try:
        for line in (proc / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _text(errors: IO[bytes]) -> str:
    """Read without moving the place at which the child, which shares it, goes on writing."""
    size = os.fstat(errors.fileno()).st_size
    return os.pread(errors.fileno(), size, 0).decode(errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Politely, then not; with everything that it started, which shares its process group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
