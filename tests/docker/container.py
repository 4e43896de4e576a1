"""Runs one command as a cluster would run the image's: `python container.py SPEC`, as root, on Linux.

The command is process 1 of its own PID namespace, as the image's user, without capabilities and unable to
gain privileges, on a root that is mounted read-only, with /tmp in memory. The network is the machine's.
Not enforced: seccomp, cgroup limits. SIGTERM is passed on; the exit code is the command's.

SPEC is a JSON file: root, command, environment, user, group, directory, mounts (host folder → path inside).
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000  # linux/sched.h
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_PDEATHSIG = 24, 38, 1  # linux/prctl.h
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def main() -> int:
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    _checked(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID), "unshare")
    child = os.fork()
    if child == 0:
        _become(spec)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(spec: dict[str, Any]) -> None:
    """Never returns: the process is the command from here on."""
    root = Path(spec["root"])
    _furnish(root, spec["mounts"])
    last = int(_LAST_CAPABILITY.read_text())
    os.chroot(root)
    os.chdir(spec["directory"])
    for capability in range(last + 1):
        _checked(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "drop a capability")
    os.setgroups([])
    os.setgid(spec["group"])
    os.setuid(spec["user"])
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    # After the change of user, which takes it back: whoever kills the supervisor kills the container.
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "die with the supervisor")
    os.execvpe(spec["command"][0], spec["command"], spec["environment"])


def _furnish(root: Path, mounts: dict[str, str]) -> None:
    """The mounts of a container; they are gone with the namespace."""
    _mount("--make-rprivate", "/")
    _mount("--bind", str(root), str(root))
    for source, target in mounts.items():
        _mount("--bind", source, f"{root}{target}")
        _mount("-o", "remount,bind,ro", f"{root}{target}")
    _mount("-t", "proc", "proc", f"{root}/proc")
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{root}/tmp")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{root}/dev")
    for name in _DEVICES:
        (root / "dev" / name).touch()
        _mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
    _mount("-o", "remount,bind,ro", str(root))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    sys.exit(main())
