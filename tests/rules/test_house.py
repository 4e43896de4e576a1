"""The house's own measures, so that nobody has to count."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "service", "training", "benchmarks", "helm", "tools", "docs")
MAX_FILE_LINES, MAX_MEDIAN_LINES, MAX_FUNCTION_LINES = 400, 140, 80


def _sources() -> list[Path]:
    return [
        ROOT / "slipway.py",
        *(p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))),
    ]


def _functions() -> Iterator[tuple[str, int]]:
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{path.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_files_stay_short() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in _sources()}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}
    assert median(n for n in lengths.values() if n) <= MAX_MEDIAN_LINES


def test_functions_stay_short() -> None:
    lengths = dict(_functions())
    assert {name: n for name, n in lengths.items() if n >= MAX_FUNCTION_LINES} == {}
    assert sum(n <= 30 for n in lengths.values()) / len(lengths) >= 0.9


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def _broad_handlers() -> Iterator[tuple[Path, ast.ExceptHandler]]:
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            named = node.type.id if isinstance(node.type, ast.Name) else None
            if node.type is None or named in ("Exception", "BaseException"):
                yield path, node


def test_a_broad_except_says_why() -> None:
    unexplained = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, node in _broad_handlers()
        if "#" not in path.read_text().splitlines()[node.lineno - 1]
    ]
    assert unexplained == []


def _readme_commands() -> list[str]:
    blocks = re.findall(
        r"```(?:bash|sh|console)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_readme_names_real_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        m.group(1) for line in _readme_commands() if (m := re.match(r"make ([a-z-]+)", line))
    }
    assert {"demo", "test"} <= targets
    missing = [
        target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)
    ]
    assert missing == []


def test_the_readme_names_real_commands() -> None:
    named = {
        m.group(1)
        for line in _readme_commands()
        for m in re.finditer(r"(?:^|\s|/)slipway ([a-z-]+)", line)
    }
    assert {"train", "predict", "serve"} <= named
    for command in sorted(named):
        result = subprocess.run(
            [sys.executable, "-m", "slipway", command, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"slipway {command}: {result.stderr}"


@pytest.mark.parametrize(
    "target", ["install", "tools", "demo", "serve", "test", "test-image", "check", "bench", "clean"]
)
def test_make_help_lists_every_front_door(target: str) -> None:
    result = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"make {target}" in result.stdout


def test_ci_installs_the_tools_and_calls_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    steps = re.findall(r"^\s*(make [\w-]+)", script, re.MULTILINE)
    assert steps == ["make tools", "make test", "make test-image"]
    assert re.search(r"^make test$", script, re.MULTILINE), "its failure is the build's"
    assert "set -euo pipefail" in script
    assert "make test" in _readme_commands()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_ignores_what_training_makes() -> None:
    result = subprocess.run(
        ["git", "check-ignore", "models/repository/digits/1/model.onnx", "runs/x"],
        cwd=ROOT,
        capture_output=True,
    )
    assert result.returncode == 0
