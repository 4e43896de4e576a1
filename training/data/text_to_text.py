"""Where the pairs of text-to-text come from: parallel files, a table, or what is generated.

Read by `training.tasks.text_to_text`; the first text of a pair is read, the second written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.data import pair_table
from training.data.bilingual_sentences import bilingual_sentences
from training.data.pair_table import NONE, PairChoice, load_pair_table
from training.data.parallel_files import is_parallel, read_parallel
from training.data.reports import reports
from training.data.text_pairs import PairData
from training.tasks.text_to_text_settings import TextToTextConfig

_SOURCE_NAMES: Final = (
    "article",
    "document",
    "source",
    "text",
    "dialogue",
    "report",
    "content",
    "src",
)
_TARGET_NAMES: Final = ("summary", "highlights", "target", "headline", "title", "abstract", "tgt")
_NAMES: Final[pair_table.Names] = (_SOURCE_NAMES, _TARGET_NAMES, ())


@dataclass(frozen=True)
class TextToText:
    """`direction`: what is made of what, for people; `test_name` says which pairs judge."""

    pairs: PairData
    direction: str
    test_name: str


def load(data: Path | None, config: TextToTextConfig) -> TextToText:
    """Raises DataError naming file, line and remedy."""
    if data is None:
        return _generated(config)
    if config.kind == "translation" and is_parallel(data):
        parallel = read_parallel(
            data,
            config.source,
            config.target,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=config.seed,
        )
        direction = f"{parallel.source} → {parallel.target}"
        return TextToText(parallel.data, direction, parallel.test_name)
    choice = PairChoice(
        columns=(config.source_column, config.target_column, NONE),
        names=_NAMES,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    direction = "source → target" if config.kind == "translation" else "text → summary"
    return TextToText(load_pair_table(data, choice), direction, "test")


def _generated(config: TextToTextConfig) -> TextToText:
    counts = config.generated
    sizes = (counts.train, counts.validation, counts.test)
    if config.kind == "translation":
        pairs = bilingual_sentences(*sizes, seed=config.seed)
        return TextToText(pairs, "German → English", "combinations never learned")
    return TextToText(
        reports(*sizes, seed=config.seed), "report → headline", "decisions never learned"
    )
