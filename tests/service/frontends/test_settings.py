"""A secondary has exactly the primary's settings, whatever they are."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.frontends.settings import from_members, to_members
from service.settings import Settings, load_settings


def across(settings: Settings) -> Settings:
    return from_members(json.loads(json.dumps(to_members(settings))))


def test_defaults_cross_unchanged() -> None:
    assert across(Settings()) == Settings()


def test_what_was_given_crosses_unchanged() -> None:
    settings = load_settings(
        repository=Path("/some/where"),
        model=("a", "b"),
        version_policy="specific=1,3",
        admin_token="a secret",
        lame_duck_s="2.5",
        frontends="3",
    )
    assert across(settings) == settings
    assert across(settings).admin_token == SecretStr("a secret")


def test_the_environment_does_not_change_what_the_primary_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(workers=3)
    monkeypatch.setenv("SLIPWAY_WORKERS", "5")
    assert across(settings).workers == 3
