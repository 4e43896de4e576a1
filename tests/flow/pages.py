"""The runnable blocks of the documentation.

A fenced `bash` or `python` block that names the demo's address is run as it stands. Above it may stand

    <!-- server: --model-control-mode explicit -->   it is asked of a server started with these flags
    <!-- run -->                                     it is run although it asks no server
    <!-- not run: why -->                            it is not; the reason is shown by pytest
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"

_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n+)?```(?P<language>bash|python)\n(?P<text>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """`flags`: of the server that it is asked of. `excuse`: why it is not run; empty for most."""

    page: str
    number: int
    language: str
    text: str
    flags: tuple[str, ...] = ()
    excuse: str = ""

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks() -> list[Block]:
    """All blocks that are run or excused, page by page in reading order."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages += sorted((ROOT / "benchmarks").glob("*.md"))
    return [block for page in pages for block in _of(page)]


def _of(page: Path) -> list[Block]:
    found = []
    for number, match in enumerate(_BLOCK.finditer(page.read_text()), start=1):
        mark, text = match["mark"] or "", match["text"]
        if mark != "run" and not mark.startswith("not run:") and "127.0.0.1:8000" not in text:
            continue
        name, _, value = mark.partition(":")
        flags = tuple(value.split()) if name == "server" else ()
        excuse = value.strip() if name == "not run" else ""
        found.append(Block(page.stem, number, match["language"], text, flags, excuse))
    return found
