"""What the tests read of docker/: scripts, Dockerfiles as instructions, locks as pins."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = ("Dockerfile", "train.Dockerfile")


def script(name: str) -> ModuleType:
    """docker/<name>.py as a module; docker/ is no package, or it would hide the one of that name."""
    spec = importlib.util.spec_from_file_location(f"docker_{name}", DOCKER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def instructions(name: str) -> list[tuple[str, str]]:
    """(FROM, …), (RUN, …) … in order, comments left out and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / name).read_text(), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, _, rest in (x.partition(" ") for x in lines)]


def final_stage(name: str) -> list[tuple[str, str]]:
    found = instructions(name)
    return found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]


def pins(name: str) -> dict[str, str]:
    """Package → version of one file in docker/requirements."""
    text = (DOCKER / "requirements" / name).read_text()
    return {canonical(m[1]): m[2] for m in re.finditer(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def canonical(package: str) -> str:
    """As the packaging standards compare names."""
    return re.sub(r"[-_.]+", "-", package).lower()
