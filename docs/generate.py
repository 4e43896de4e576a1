"""Writes the generated pages: `make docs`. Tests fail when a page and the code disagree."""

import json
from pathlib import Path

from models.manifest import Manifest

_DOCS = Path(__file__).parent


def manifest_schema() -> str:
    """The JSON Schema of manifest.json."""
    return json.dumps(Manifest.model_json_schema(), indent=2) + "\n"


def main() -> None:
    (_DOCS / "manifest.schema.json").write_text(manifest_schema())
    print("wrote docs/manifest.schema.json")


if __name__ == "__main__":
    main()
