"""A bare `model.onnx` in the repository, served without having been imported by anybody.

It is imported at load, by a process of its own within the limits of an examination, into a folder that
only this server knows; from there on it is a bundle like any other. The folder goes when the bundle does.
"""

import asyncio
import json
import math
import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path

from models.bundle import Bundle, open_bundle
from models.errors import ManifestInvalid
from models.manifest import MANIFEST_FILE, MODEL_FILE
from models.runtimes.base import LoadCrashed, LoadOutOfMemory, LoadTimeout
from service.settings import Settings

_ROOT = str(Path(__file__).parents[2])
_TIMES_SIZE = 4
_HEADROOM_BYTES = 1 << 30


class BareRefused(ManifestInvalid):
    """The graph cannot be served without a manifest that somebody wrote."""


def is_bare(path: Path) -> bool:
    """A graph and no manifest. A file system that cannot say so is no reason to look further."""
    try:
        return not os.path.lexists(path / MANIFEST_FILE) and (path / MODEL_FILE).is_file()
    except OSError:
        return False


async def open_bare(path: Path, settings: Settings) -> Bundle:
    """A bundle with the name and number of the folder `path`. Raises BareRefused, LoadTimeout,
    LoadOutOfMemory, LoadCrashed."""
    where = f"{path.parent.name}/{path.name}"
    if not settings.allow_bare_onnx:
        raise BareRefused(
            f"{where}: there is no {MANIFEST_FILE}; `slipway import-onnx` publishes a bare graph, and "
            "--allow-bare-onnx serves it as it lies"
        )
    target = tempfile.mkdtemp(prefix="slipway-bare-")
    try:
        await _import(path, Path(target), settings)
        made = Path(target) / path.parent.name / path.name
        bundle = open_bundle(made, verify=False)  # one small file, written a moment ago
    except BaseException:  # whatever it was goes on; the folder must not stay
        shutil.rmtree(target, ignore_errors=True)
        raise
    weakref.finalize(bundle, shutil.rmtree, target, ignore_errors=True)
    return bundle


async def _import(path: Path, target: Path, settings: Settings) -> None:
    where = f"{path.parent.name}/{path.name}"
    size = await asyncio.to_thread(_folder_bytes, path)
    order = {
        "file": str(path / MODEL_FILE),
        "name": path.parent.name,
        "version": int(path.name),
        "repository": str(target),
        "memory_bytes": settings.load_memory_bytes or _TIMES_SIZE * size + _HEADROOM_BYTES,
        "cpu_s": math.ceil(settings.load_timeout_s * max(1, settings.threads)),
    }
    search = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "service.importing.process", json.dumps(order),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # signals to the server's group pass it by
        env={**os.environ, "PYTHONPATH": search, "TMPDIR": str(target)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(settings.load_timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        limit = f"{settings.load_timeout_s:g} s"
        raise LoadTimeout(f"{where} was not imported within {limit}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    _judge(where, process.returncode or 0, output)


def _judge(where: str, code: int, output: bytes) -> None:
    try:
        answer = json.loads(output)
    except ValueError:
        raise LoadCrashed(f"{where} ended the process that imported it ({code})") from None
    if answer.get("reason") == LoadOutOfMemory.reason:
        raise LoadOutOfMemory(answer["message"])
    if answer:
        raise BareRefused(f"{where}: {answer['message']}")


def _folder_bytes(path: Path) -> int:
    with os.scandir(path) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
