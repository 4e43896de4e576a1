"""The primary's settings as they cross to a secondary, which takes them as they are, environment or not."""

from collections.abc import Mapping

from pydantic import SecretStr

from service.settings import Settings

_PLAIN = (bool, int, float, str)


def to_members(settings: Settings) -> dict[str, object]:
    """In JSON's types. Secrets too: only the secondary reads the socket."""
    return {name: _plain(getattr(settings, name)) for name in Settings.model_fields}


def from_members(members: Mapping[str, object]) -> Settings:
    return Settings(**members)  # type: ignore[arg-type]  # validated there


def _plain(value: object) -> object:
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value)  # a path, a policy: what the command line takes
