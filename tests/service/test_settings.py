"""Command line > environment > default; a bad value stops the start with key, value and expectation."""

import pytest

from models.errors import UsageError
from service.settings import Settings, load_settings


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_PORT", "9001")
    assert load_settings().port == 9001
    assert load_settings(port=None).port == 9001
    assert load_settings(port="9002").port == 9002


def test_names_are_separated_by_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL", "digits, language-id")
    assert load_settings().model == ("digits", "language-id")
    assert load_settings(model=["a", "b"]).model == ("a", "b")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", "eighty"),
        ("port", "70000"),
        ("isolation", "container"),
        ("workers", "-1"),
        ("access_log", "maybe"),
        ("request_timeout_s", "nan"),
    ],
)
def test_a_bad_value_is_named_with_its_key(
    key: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = f"--{key.replace('_', '-')}"
    with pytest.raises(UsageError, match=f"{flag}='{value}'"):
        load_settings(**{key: value})
    monkeypatch.setenv(f"SLIPWAY_{key.upper()}", value)
    with pytest.raises(UsageError, match=f"SLIPWAY_{key.upper()}='{value}'"):
        load_settings()
