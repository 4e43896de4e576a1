"""`make tools`: what is installed is what was meant, twice is once, and failures are sentences."""

import hashlib
import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests import tools as helper

ROOT = Path(__file__).parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = _load()
    monkeypatch.setattr(module, "TARGET", tmp_path / ".tools")
    return module


PROGRAM = "#!/bin/sh\necho program 1.2.3\n"


def _group(**changes: object) -> dict[str, object]:
    program = {"path": "program", "version": "1.2.3", **changes}
    return {"kind": "fake", "about": "a program", "programs": {"program": program}}


class Recorder:
    """An installer that writes one program and counts how often it was asked."""

    def __init__(self, text: str = PROGRAM) -> None:
        self.calls, self.text = 0, text

    def __call__(self, folder: Path, group: dict[str, object]) -> str:
        self.calls += 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "program").write_text(self.text)
        (folder / "program").chmod(0o755)
        return ""


def test_a_second_run_installs_nothing(install: ModuleType) -> None:
    install._INSTALLERS["fake"] = recorder = Recorder()
    assert install._ensure("g", _group(), 1, 1)
    assert install._ensure("g", _group(), 1, 1)
    assert recorder.calls == 1
    assert (install.TARGET / "bin" / "program").resolve() == install.TARGET / "g" / "program"


def test_a_changed_pin_installs_anew(install: ModuleType) -> None:
    install._INSTALLERS["fake"] = recorder = Recorder()
    assert install._ensure("g", _group(), 1, 1)
    assert install._ensure("g", _group(version="1.2"), 1, 1)
    assert recorder.calls == 2


def test_another_file_than_the_pinned_one_is_refused(
    install: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install._INSTALLERS["fake"] = Recorder(PROGRAM + "# and something else\n")
    expected = hashlib.sha256(PROGRAM.encode()).hexdigest()
    assert not install._ensure("g", _group(sha256=expected), 1, 1)
    assert "it will not be used" in capsys.readouterr().out
    assert not (install.TARGET / "bin" / "program").exists()
    assert not (install.TARGET / ".done" / "g").exists()


def test_another_version_than_the_pinned_one_is_refused(
    install: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install._INSTALLERS["fake"] = Recorder()
    assert not install._ensure("g", _group(version="9.9"), 1, 1)
    assert "expected version 9.9" in capsys.readouterr().out


def test_an_installer_without_a_network_fails_with_a_sentence(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(folder: Path, group: dict[str, object]) -> str:
        install._run(["sh", "-c", "echo could not resolve the host; exit 100"])
        return ""

    monkeypatch.setattr(install, "_table", lambda: {"g": _group(), "h": _group()})
    install._INSTALLERS.update(fake=unreachable)
    assert install.main([]) == 1
    said = capsys.readouterr().out
    assert "could not resolve the host" in said
    assert "error: not installed: g, h. What is finished stays; `make tools` goes on." in said


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (["1.2-4", "1.2-3"], "1.2-3"),
        (["1.2-5", "1.2-4"], "1.2-5"),
        (["1.3-1", "1.2-4"], "1.2-4"),
    ],
    ids=["pinned", "security update", "newer upstream beside it"],
)
def test_only_the_pinned_upstream_version_of_a_debian_package_is_taken(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, offered: list[str], taken: str
) -> None:
    monkeypatch.setattr(install, "_offered", lambda package: offered)
    assert install._available("thing", "1.2-3") == taken


def test_another_upstream_version_is_refused(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_offered", lambda package: ["2.0-1"])
    with pytest.raises(install.Failed, match=r"thing is pinned at 1\.2-3, .* offers 2\.0-1"):
        install._available("thing", "1.2-3")


def test_everything_is_pinned_by_checksum_or_signed_index() -> None:
    table = tomllib.loads((ROOT / "tools" / "tools.toml").read_text())
    assert {group["kind"] for group in table.values()} == {"npm", "pip", "deb", "apt"}
    for group in table.values():
        if group["kind"] == "deb":
            assert len(group["sha256"]) == 64
        if group["kind"] == "pip":
            blocks = (ROOT / "tools" / group["requirements"]).read_text().split("\n")
            names = [line for line in blocks if "==" in line]
            assert names
            assert all(line.endswith("\\") for line in names), "a requirement without hashes"
        if group["kind"] == "npm":
            lock = (ROOT / "tools" / group["lock"]).read_text()
            assert lock.count('"node_modules/') == lock.count('"integrity": "sha512-')


def test_a_tool_that_is_absent_skips_with_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "TARGET", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="promtool is not installed: make tools"):
        helper.tool("promtool")
    with pytest.raises(KeyError):
        helper.tool("promptool")
