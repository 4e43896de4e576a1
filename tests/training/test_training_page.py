"""docs/training.md: its commands are accepted as they stand, and it leaves no shared setting out."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from training import cli
from training.config import ConfigRecord, OptimConfig, PretrainedConfig
from training.pipeline import Request, configure
from training.pruning.settings import PruningConfig
from training.tasks.image_settings import AugmentConfig, TeacherConfig

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^slipway (train .*)$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_that_the_recipe_takes(command: str) -> None:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    arguments = parser.parse_args(shlex.split(command))
    request = cli.request_of(arguments)
    config, saved = configure(request)
    assert isinstance(request, Request)
    assert saved is None
    assert config.recipe == arguments.recipe


@pytest.mark.parametrize(
    ("group", "record"),
    [
        ("optim", OptimConfig),
        ("pretrained", PretrainedConfig),
        ("augment", AugmentConfig),
        ("pruning", PruningConfig),
        ("teacher", TeacherConfig),
    ],
)
def test_no_setting_of_a_shared_group_is_left_out(group: str, record: type[ConfigRecord]) -> None:
    missing = [
        name
        for name in record.model_fields
        if f"`{name}`" not in PAGE and f"{group}.{name}" not in PAGE
    ]
    assert missing == []


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 8
