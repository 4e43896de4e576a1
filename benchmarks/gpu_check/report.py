"""What was found, written down: Markdown for people, JSON for programs."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.prerequisites import Machine
from benchmarks.gpu_check.result import Result
from benchmarks.gpu_check.runner import Chapter
from benchmarks.harness.machine import commit_of
from benchmarks.harness.report import number

FILE = "gpu-check"
_PACKAGES = ("onnxruntime-gpu", "onnxruntime", "tensorrt", "numpy", "torch")


@dataclass(frozen=True)
class Report:
    machine: Machine
    chapters: Sequence[Chapter]
    command: str
    took_s: float
    commit: str
    date: str
    bundles: int

    @classmethod
    def of(
        cls,
        machine: Machine,
        chapters: Sequence[Chapter],
        *,
        command: str,
        took_s: float,
        checkout: Path,
        bundles: int,
    ) -> "Report":
        date = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(machine, chapters, command, took_s, commit_of(checkout), date, bundles)

    @property
    def has_failed(self) -> bool:
        return any(chapter.has_failed for chapter in self.chapters)

    def write(self, folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        text, data = folder / f"{FILE}.md", folder / f"{FILE}.json"
        text.write_text(self.markdown())
        plain = json.dumps(self._plain(), indent=1, ensure_ascii=False, allow_nan=False)
        data.write_text(plain + "\n")
        return [text, data]

    def markdown(self) -> str:
        results = [result for chapter in self.chapters for result in chapter.results]
        count = dict.fromkeys(("passed", "failed", "measured", "not run"), 0)
        for result in results:
            count[result.verdict] += 1
        lines = ["# GPU report", "", *self._conditions(), ""]
        lines += [", ".join(f"{number} {verdict}" for verdict, number in count.items()) + "."]
        for chapter in self.chapters:
            lines += ["", f"## {chapter.check.title}", "", f"Took {chapter.took_s:.0f} s.", ""]
            lines += ["| what | verdict | figure | target | detail |", "|---|---|---|---|---|"]
            lines += [_row(result) for result in chapter.results]
        return "\n".join(lines) + "\n"

    def _conditions(self) -> list[str]:
        versions = ", ".join(f"{name} {text}" for name, text in _versions().items())
        lines = [
            f"- GPU: {gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, driver {gpu.driver}"
            for gpu in self.machine.gpus
        ]
        lines += [
            f"- commit: {self.commit}; date: {self.date}; took {self.took_s / 60:.1f} minutes",
            f"- command: `{self.command}`; {self.bundles} bundles; providers: "
            f"{', '.join(self.machine.providers)}",
            f"- versions: {versions}",
        ]
        return lines + [f"- {note}" for note in self.machine.notes]

    def _plain(self) -> dict[str, Any]:
        return {
            "format": 1,
            "machine": asdict(self.machine),
            "versions": _versions(),
            "command": self.command,
            "commit": self.commit,
            "date": self.date,
            "took_s": round(self.took_s, 1),
            "bundles": self.bundles,
            "chapters": [
                {
                    "name": chapter.check.name,
                    "title": chapter.check.title,
                    "took_s": round(chapter.took_s, 1),
                    "results": [json.loads(result.to_json()) for result in chapter.results],
                }
                for chapter in self.chapters
            ],
        }


def _row(result: Result) -> str:
    verdict = f"**{result.verdict}**" if result.verdict == "failed" else result.verdict
    figure = "" if result.figure is None else f"{number(result.figure)} {result.unit}".strip()
    cells = (result.what, verdict, figure, result.target, result.detail)
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '∣') for cell in cells)} |"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
