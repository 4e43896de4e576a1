"""The arrows: service → models ← training. Read from the source, so a lazy import counts too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FORBIDDEN = {
    "models": {
        "service",
        "training",
        "torch",
        "lightning",
        "transformers",
        "fastapi",
        "onnx",
    },
    "training": {"service", "fastapi", "uvicorn", "starlette"},
    "service": {"training", "torch", "lightning", "transformers", "onnx", "sklearn"},
}
# Code that could run what a file contains; nothing the server reads may reach it.
UNSAFE = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

CONTRACT_NEEDS = {"numpy", "pydantic"}
MORE_NEEDS = {"transforms": {"PIL", "tokenizers"}, "runtimes": {"onnxruntime", "openvino"}}


def _modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package}/ holds no modules"
    return found


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: absolute imports only"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_imports_against_the_arrows(package: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules(package)
        for name in _imports(path)
        if name in FORBIDDEN[package]
    }
    assert not wrong


@pytest.mark.parametrize("package", ["service", "models"])
def test_nothing_that_serves_can_unpickle(package: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules(package)
        for name in _imports(path)
        if name in UNSAFE
    }
    loads = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    }
    assert not wrong
    assert not loads


def test_the_contract_needs_numpy_and_pydantic_only() -> None:
    standard, own = set(sys.stdlib_module_names), {"models"}
    for path in _modules("models"):
        part = path.relative_to(ROOT / "models").parts[0]
        extra = set(_imports(path)) - standard - own - CONTRACT_NEEDS - MORE_NEEDS.get(part, set())
        assert not extra, f"{path.relative_to(ROOT)} imports {extra}"


_PROBE = """
import sys
{statement}
heavy = {{"torch", "lightning", "transformers", "onnxruntime", "openvino", "onnx", "matplotlib"}}
heavy &= set(sys.modules)
sys.exit(f"imported {{sorted(heavy)}}" if heavy else 0)
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import slipway; slipway.build_parser()",
        "import training.recipes; [recipe.summary for recipe in training.recipes.known()]",
        "import models.manifest, models.publish, models.catalog",
    ],
    ids=["command line", "recipe list", "contract"],
)
def test_listing_imports_nothing_heavy(statement: str) -> None:
    code = _PROBE.format(statement=statement)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


_SERVE_PROBE = """
import importlib, pkgutil, sys
blocked = {"torch", "lightning", "transformers", "onnx", "sklearn", "training"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(f"the server asked for {name}")
sys.meta_path.insert(0, Refuse())
import service
for module in pkgutil.walk_packages(service.__path__, "service."):
    importlib.import_module(module.name)
loaded = {"pickle"} & set(vars(sys.modules["service"]))
sys.exit(f"loaded {loaded}" if loaded else 0)
"""


def test_the_whole_server_imports_where_training_is_not_installed() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _SERVE_PROBE], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
