"""Token classification: a text → the entities in it, with their places in the caller's own text.

Places count Unicode code points, as Python's `text[start:end]` does, in the text as it was sent; what a
word is says `models.transforms.words`.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import TokenClassificationPostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, ManifestInvalid
from models.transforms.tags import TagDecoder, word_probabilities
from models.transforms.words import WordEncoder
from service.tasks.base import Answer, Prepared, Row, TaskOptions
from service.tasks.text import TextOptions, TextTask


class TokenClassificationOptions(TextOptions):
    """Which entities, and whether the words too."""

    threshold: float = Field(
        default=0.0, ge=0, le=1, description="leave out entities whose score is below it"
    )
    labels: tuple[str, ...] = Field(
        default=(), max_length=64, description="entities of these kinds only; default: all"
    )
    include_tokens: bool = Field(
        default=False, description="also answer every word with its tag and score"
    )


class Entity(BaseModel):
    label: str = Field(description="kind of entity")
    text: str = Field(description="exactly what stands at its place")
    start: int = Field(ge=0, description="first character, in Unicode code points of the text sent")
    end: int = Field(ge=0, description="the character after its last one")
    score: float = Field(ge=0, le=1, description="mean probability of its kind over its words")


class TaggedWord(BaseModel):
    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    tag: str = Field(description="as the model was trained: B-… begins, I-… goes on, O is outside")
    score: float = Field(ge=0, le=1, description="calibrated probability of the tag")


class TokenClassificationAnswer(BaseModel):
    entities: list[Entity] = Field(description="in the order of the text")
    tokens: list[TaggedWord] | None = Field(
        default=None, description="every word, where `include_tokens` asks for them"
    )


class TokenClassification(TextTask[TokenClassificationOptions]):
    name: ClassVar[str] = "token-classification"
    options: ClassVar[type[TaskOptions]] = TokenClassificationOptions
    answer: ClassVar[type[BaseModel]] = TokenClassificationAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.postprocessing
        if not isinstance(block, TokenClassificationPostprocessing):
            raise ManifestInvalid(
                f"{self.name} needs token_classification postprocessing, not {block.kind}"
            )
        self._block = block
        self._decoder = TagDecoder(bundle.labels(block.labels))
        self._words = WordEncoder(bundle.read_text(self.block.tokenizer), self.block)
        self._require_a_label_for_each_tag()

    def _require_a_label_for_each_tag(self) -> None:
        spec = next((s for s in self.manifest.outputs if s.name == self._block.output), None)
        if spec is None or len(spec.shape) != 3:
            raise ManifestInvalid(
                f"{self.name}: output {self._block.output!r} must be [batch, sequence, tags]"
            )
        tags = spec.shape[-1]
        if isinstance(tags, int) and tags != len(self._decoder.labels):
            raise ManifestInvalid(
                f"{self.name}: {tags} tags but {len(self._decoder.labels)} labels"
            )

    @override
    def example(self) -> object:
        """As of other texts, without the words that are too many: put back into words, an item that was
        cut can come out longer than it went in."""
        text = str(super().example())
        places, encoded = self._words.encode_text(text, truncate=True)
        if not encoded.is_cut:
            return text
        last = int(encoded.word_ids.max())
        return text[: places[max(0, last - 1)][1]]

    @override
    def preprocess(self, instance: str, options: TokenClassificationOptions) -> Prepared:
        places, encoded = self._words.encode_text(instance, truncate=options.truncate)
        return Prepared.one(encoded.row, (instance, places, encoded.word_ids))

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: TokenClassificationOptions
    ) -> Answer:
        text, places, word_ids = prepared.kept
        logits = rows[0][self._block.output]
        if not np.isfinite(logits).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        words, probabilities = word_probabilities(
            logits, word_ids, self._block.word_score, self.manifest.temperature
        )
        entities = []
        for span, score in self._decoder.spans(probabilities):
            start, end = places[words[span.start]][0], places[words[span.end - 1]][1]
            is_wanted = not options.labels or span.type in options.labels
            if is_wanted and score >= options.threshold:
                entities.append(_placed(text, start, end, label=span.type, score=score))
        answer: Answer = {"entities": entities}
        if options.include_tokens:
            tags = self._decoder.best(probabilities)
            answer["tokens"] = [
                _placed(
                    text,
                    *places[word],
                    tag=self._decoder.labels[tag],
                    score=float(min(1.0, chances[tag])),
                )
                for word, tag, chances in zip(words, tags, probabilities, strict=True)
            ]
        return answer


def _placed(text: str, start: int, end: int, **more: object) -> Answer:
    return {"text": text[start:end], "start": start, "end": end, **more}
