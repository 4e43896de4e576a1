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

_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ROW = re.compile(
    r"^\| \[[^]]+\]\(docs/(?P<page>\w+)\.md#(?P<anchor>[\w-]+)\) \| (?P<recipes>[^|]+) \|",
    re.MULTILINE,
)
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n+)?```(?P<language>bash|python)\n(?P<text>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """`flags`: of the server that it is asked of. `excuse`: why it is not run; empty for most. `anchor`: of
    the heading above it."""

    page: str
    anchor: str
    number: int
    language: str
    text: str
    flags: tuple[str, ...] = ()
    excuse: str = ""

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


@dataclass(frozen=True)
class TaskRow:
    """A row of the README's table of tasks: where it leads, and the recipes that it names."""

    page: str
    anchor: str
    recipes: frozenset[str]


def task_rows() -> list[TaskRow]:
    readme = (ROOT / "README.md").read_text()
    return [
        TaskRow(row["page"], row["anchor"], frozenset(re.findall(r"`([\w-]+)`", row["recipes"])))
        for row in _ROW.finditer(readme)
    ]


def blocks() -> list[Block]:
    """All blocks that are run or excused, page by page in reading order."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages += sorted((ROOT / "benchmarks").glob("*.md"))
    return [block for page in pages for block in _of(page)]


def _of(page: Path) -> list[Block]:
    found, content = [], page.read_text()
    for number, match in enumerate(_BLOCK.finditer(content), start=1):
        mark, text = match["mark"] or "", match["text"]
        if mark != "run" and not mark.startswith("not run:") and "127.0.0.1:8000" not in text:
            continue
        name, _, value = mark.partition(":")
        flags = tuple(value.split()) if name == "server" else ()
        excuse = value.strip() if name == "not run" else ""
        anchor = _anchor(content[: match.start()])
        found.append(Block(page.stem, anchor, number, match["language"], text, flags, excuse))
    return found


def _anchor(above: str) -> str:
    """Of the last heading, as GitHub makes it: small letters, no punctuation, hyphens for spaces."""
    headings = _HEADING.findall(re.sub(r"```.*?```", "", above, flags=re.DOTALL))
    return re.sub(r"[^\w -]", "", headings[-1]).lower().replace(" ", "-") if headings else ""
