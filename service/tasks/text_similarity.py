"""Text similarity: two texts, read together by a cross-encoder, → how well they belong together."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import ScorePostprocessing, TextPreprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid
from models.transforms.scores import pair_score
from models.transforms.text import TextEncoder
from service.tasks.base import Answer, BatchTask, Prepared, Row, TaskOptions
from service.tasks.text import TextOptions

_EXAMPLE = {"text": "How old are you?", "text_pair": "What is your age?"}
_INLINE_CHARACTERS = 2_000


class TextPair(NamedTuple):
    text: str
    text_pair: str


class TextSimilarityOptions(TextOptions):
    """Whether to cut, and what kind of number is wanted."""

    raw_scores: bool = Field(
        default=False, description="the model's own number, before it is brought to its scale"
    )


class ScoreAnswer(BaseModel):
    score: float = Field(description="higher: the texts belong together more")
    tokens: int = Field(description="tokens that were read, special ones included")


class TextSimilarity(BatchTask[TextPair, TextSimilarityOptions]):
    """One number float32 [1] → the activation that the bundle names, times its scale."""

    name: ClassVar[str] = "text-similarity"
    field: ClassVar[str] = "pair"
    parts: ClassVar[tuple[str, ...]] = TextPair._fields
    options: ClassVar[type[TaskOptions]] = TextSimilarityOptions
    answer: ClassVar[type[BaseModel]] = ScoreAnswer
    prepares_together: ClassVar[bool] = True

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        reading, answering = self.manifest.preprocessing, self.manifest.postprocessing
        if not isinstance(reading, TextPreprocessing) or not reading.is_pair:
            raise ManifestInvalid(f"{self.name} needs text preprocessing of pairs")
        if reading.stride_tokens:
            raise ManifestInvalid(f"{self.name} reads a pair at once, not in windows")
        if not isinstance(answering, ScorePostprocessing):
            raise ManifestInvalid(f"{self.name} needs score postprocessing, not {answering.kind}")
        self.block = reading
        self._score = answering
        self.encoder = TextEncoder(bundle.read_text(reading.tokenizer), reading)

    def read_json(self, value: object) -> TextPair:
        if not isinstance(value, Mapping) or set(value) != set(self.parts):
            raise InputError('an instance is two texts: {"text": "…", "text_pair": "…"}')
        wrong = next((name for name in self.parts if not isinstance(value[name], str)), None)
        if wrong is not None:
            raise InputError(f"{wrong} must be a string")
        return TextPair(value["text"], value["text_pair"])

    @override
    def is_heavy(self, instance: TextPair) -> bool:
        return len(instance.text) + len(instance.text_pair) > _INLINE_CHARACTERS

    @override
    def preprocess(self, instance: TextPair, options: TextSimilarityOptions) -> Prepared:
        [prepared] = self.preprocess_many([instance], options)
        return prepared

    @override
    def preprocess_many(
        self, instances: Sequence[TextPair], options: TextSimilarityOptions
    ) -> list[Prepared]:
        rows = self.encoder.encode_pairs(instances, truncate=options.truncate)
        return [Prepared.one(row, kept=len(row[self.block.ids_input])) for row in rows]

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: TextSimilarityOptions
    ) -> Answer:
        raw = float(rows[0][self._score.output].reshape(-1)[0])
        if not math.isfinite(raw):
            raise InferenceFailed("the model's answer to this input is not a number")
        score = raw if options.raw_scores else pair_score(raw, self._score)
        return {"score": score, "tokens": prepared.kept}

    def instance_schema(self) -> dict[str, object]:
        text = {"type": "string"}
        return {
            "type": "object",
            "properties": dict.fromkeys(self.parts, text),
            "required": list(self.parts),
            "description": f"two texts of at most {self.block.max_tokens} tokens together",
        }

    def example(self) -> object:
        return dict(_EXAMPLE)
