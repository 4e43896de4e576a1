"""Writes the generated pages: `make docs`. Tests fail when a page and the code disagree."""

import json
import re
from pathlib import Path

from models.blocks.record import Record
from models.manifest import Manifest
from models.runtimes.onnxruntime.providers import CudaOptions, TensorRtOptions

_DOCS = Path(__file__).parent


def manifest_schema() -> str:
    """The JSON Schema of manifest.json."""
    return json.dumps(Manifest.model_json_schema(), indent=2) + "\n"


def gpu_page(text: str) -> str:
    """gpu.md with its tables of options as the code has them."""
    for kind in (CudaOptions, TensorRtOptions):
        block = re.compile(rf"(<!-- {kind.__name__} -->\n).*?(<!-- end -->)", re.DOTALL)
        table = _options_table(kind)
        text = block.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", text)
    return text


def _options_table(kind: type[Record]) -> str:
    lines = ["| option | default | |", "|---|---|---|"]
    for name, field in kind.model_fields.items():
        default = "none" if field.default in (None, "") else f"`{field.default}`"
        lines.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    page = _DOCS / "gpu.md"
    page.write_text(gpu_page(page.read_text()))
    (_DOCS / "manifest.schema.json").write_text(manifest_schema())
    print("wrote docs/manifest.schema.json and the tables of docs/gpu.md")


if __name__ == "__main__":
    main()
