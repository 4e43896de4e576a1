"""Writes what of the chart follows from something else: `python -m helm.generate`.

    service/settings.py → the block of server settings in values.yaml
    values.yaml         → the table of parameters in README.md, values.schema.json

The table and the schema's skeleton come from readme-generator (`make tools`); the schema is then tightened
with the server's own limits and helm/constraints.py, and unknown keys are refused.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from helm.constraints import CONSTRAINTS
from service.settings import Settings

CHART = Path(__file__).parent / "slipway"
GENERATOR = Path(__file__).parents[1] / ".tools" / "bin" / "readme-generator"

# A secret, which must not stand in a pod's manifest: adminToken.existingSecret is its way in.
ELSEWHERE = {"admin_token"}
# What the chart decides otherwise than the server, or computes with; everything else is null, which
# leaves the server's own default.
DEFAULTS: dict[str, object] = {
    "repository": "/models",
    "host": "0.0.0.0",  # noqa: S104 (a pod is reached from outside or not at all)
    "port": 8000,
    "metrics_port": 9090,
    "provider": "cpu",
    "request_timeout_s": 30,
    "grace_s": 30,
    "lame_duck_s": 0,
}
# Keywords of the settings' JSON Schema that Helm's validator understands as well.
_LIMITS = ("type", "minimum", "maximum", "exclusiveMinimum", "enum", "pattern", "items")
_BLOCK = re.compile(r"(# <settings>[^\n]*\n).*?(# </settings>\n)", re.DOTALL)

Schema = dict[str, Any]


def main() -> int:
    if not GENERATOR.exists():
        print("error: readme-generator is not installed: make tools", file=sys.stderr)
        return 1
    write(CHART)
    return 0


def write(chart: Path) -> None:
    """Write values.yaml's block, README.md's table and values.schema.json of the chart in `chart`."""
    values = chart / "values.yaml"
    values.write_text(_BLOCK.sub(lambda m: m[1] + _settings_block() + m[2], values.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "schema.json"
        readme = Path(folder) / "README.md"
        shutil.copy(chart / "README.md", readme)
        command = [str(GENERATOR), "-v", str(values), "-r", str(readme), "-s", str(draft)]
        subprocess.run(command, check=True, capture_output=True)
        defaults = yaml.safe_load(values.read_text())
        (chart / "README.md").write_text(_with_defaults(readme.read_text(), defaults))
        schema = tightened(json.loads(draft.read_text()), defaults)
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    (chart / "values.schema.json").write_text(text + "\n")


def key_of(setting: str) -> str:
    """`max_queue_wait_ms` → `maxQueueWaitMs`; the chart's templates turn it back."""
    first, *others = setting.split("_")
    return first + "".join(part.capitalize() for part in others)


def settings() -> Iterator[str]:
    return (name for name in Settings.model_fields if name not in ELSEWHERE)


def _settings_block() -> str:
    lines = ["server:"]
    for name in settings():
        field = Settings.model_fields[name]
        assert field.description is not None
        text, value = " ".join(field.description.split()), DEFAULTS.get(name)
        modifier = ""
        if value is None:
            modifier, text = "[nullable] ", f"{text} (null: {_shown(name)})"
        lines += [f"  ## @param server.{key_of(name)} {modifier}{text}"]
        lines += [f"  {key_of(name)}: {json.dumps(value)}"]
    return "\n".join(lines) + "\n"


def _shown(name: str) -> str:
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(default, tuple):
        return "none"
    return (
        json.dumps(default)
        if isinstance(default, bool | int | float)
        else f"{str(default) or 'empty'}"
    )


def tightened(draft: Schema, values: dict[str, Any]) -> Schema:
    """`draft` with limits, and without room for keys that the chart does not know."""
    _complete(draft, values)
    limits = Settings.model_json_schema()["properties"]
    for name in settings():
        found = draft["properties"]["server"]["properties"][key_of(name)]
        found.update(_limits(limits[name]))
        if DEFAULTS.get(name) is None:
            found["type"] = [*_as_list(found["type"]), "null"]
            if "enum" in found:
                found["enum"] = [*found["enum"], None]
            found.pop("nullable", None)
    for path, keywords in CONSTRAINTS.items():
        node = draft
        for part in path.split("."):
            node = node["properties"][part]
        node.pop("nullable", None)
        node.update(keywords)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **draft}


def _limits(property_: Schema) -> Schema:
    kept = {keyword: property_[keyword] for keyword in _LIMITS if keyword in property_}
    if kept.get("type") == "array":  # as in the environment: also one text, separated by commas
        kept["type"] = ["array", "string"]
    return {"type": "string", **kept}


def _as_list(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def _complete(schema: Schema, values: dict[str, Any]) -> None:
    """Objects whose keys the chart reads take no others; maps and lists that it passes on stay open.

    readme-generator leaves maps with a default out, and takes every list for one of strings.
    """
    properties = schema["properties"]
    for key, value in values.items():
        property_ = properties.setdefault(key, {"type": "object"})
        if isinstance(value, list):
            property_ |= {"default": value}
            property_.pop("items", None)
        elif isinstance(value, dict) and property_.get("properties"):
            _complete(property_, value)
        elif isinstance(value, dict):
            property_ |= {"default": value}
    schema["additionalProperties"] = False


def _with_defaults(readme: str, values: dict[str, Any]) -> str:
    """The table shows `{}` and `[]` for maps and lists, also for those that have a default."""

    def mend(match: re.Match[str]) -> str:
        value: Any = values
        for part in match[1].split("."):
            value = value[part]
        return (
            match[0]
            if not value
            else f"{match[0][: match.start(2) - match.start(0)]}see values.yaml |"
        )

    return re.sub(
        r"^\| `([\w.]+)`[^\n]*\| (`(?:\{\}|\[\])` *\|)$", mend, readme, flags=re.MULTILINE
    )


if __name__ == "__main__":
    sys.exit(main())
