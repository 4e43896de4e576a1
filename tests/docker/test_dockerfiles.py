"""What can be seen without building: both images have the promised shape."""

import json
import re
import subprocess
import tomllib

import pytest

from tests.docker.files import DOCKER, DOCKERFILES, ROOT, final_stage, instructions
from tests.tools import tool


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_linter_has_nothing_to_say(name: str) -> None:
    command = [tool("hadolint"), "--failure-threshold", "style", DOCKER / name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_each_pinned_image_is_used_where_the_table_says() -> None:
    for name, entry in tomllib.loads((DOCKER / "images.toml").read_text()).items():
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", entry["digest"]), name
        reference = f"{entry['image']}:{entry['tag']}@{entry['digest']}"
        for file in entry["used_by"]:
            assert reference in (ROOT / file).read_text(), f"{file} does not use {reference}"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_every_stage_starts_from_the_base_or_another_stage(name: str) -> None:
    stages = {"${BASE}"}
    for word, rest in instructions(name):
        if word == "FROM":
            image, _, stage = rest.partition(" AS ")
            assert image in stages
            stages.add(stage)
    assert {"builder", "libraries", "packages", "application"} <= stages


@pytest.mark.parametrize("name", DOCKERFILES)
def test_everything_from_the_network_is_locked_by_hashes(name: str) -> None:
    installs = [
        command
        for word, rest in instructions(name)
        if word == "RUN"
        for command in rest.split(" && ")
        if "pip install" in command or "pip wheel" in command or "${INSTALL}" in command
    ]
    assert len(installs) >= 4
    for command in installs:
        is_local = "--no-index" in command or command.endswith("--wheel-dir wheel .")
        assert is_local or "--require-hashes" in command, command
    assert not any("apt-get" in rest or "curl" in rest for _, rest in instructions(name))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_changes_with_each_release_is_the_last_layer(name: str) -> None:
    copies = [rest.split()[0] for word, rest in final_stage(name) if word == "COPY"]
    assert copies == ["--from=libraries", "--from=packages", "--from=application"]
    words = [word for word, _ in final_stage(name)]
    assert "RUN" not in words[words.index("COPY") :], (
        "a layer on top would change with every release"
    )


@pytest.mark.parametrize("name", DOCKERFILES)
def test_it_runs_as_nobody_and_receives_signals_itself(name: str) -> None:
    stage = dict(final_stage(name))
    assert stage["USER"] == "10001:10001"
    assert json.loads(stage["ENTRYPOINT"]) == ["slipway"]
    assert isinstance(json.loads(stage["CMD"]), list)
    assert "HEALTHCHECK" not in stage, "probes are the orchestrator's; two would disagree"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_build_sees_what_it_copies_and_no_model(name: str) -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] not in ("", "#")
    ]
    assert rules[0] == "*", "what is not named does not travel"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "models/repository" in rules[rules.index("!models") :]
    for word, rest in instructions(name):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                path = source.rstrip("/")
                assert (ROOT / path).exists()
                assert any(path == rule or path.startswith(f"{rule}/") for rule in allowed), path


def test_serving_images_hold_no_training_code() -> None:
    copied = " ".join(rest for word, rest in instructions("Dockerfile") if word == "COPY")
    assert "training" not in copied


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_labels_version_is_the_projects(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ("ARG", f"VERSION={version}") in final_stage(name)
