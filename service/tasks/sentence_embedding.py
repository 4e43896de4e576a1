"""Sentence embedding: a text, or its token ids, → a vector whose direction is the text's meaning."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.bundle import Bundle
from models.errors import InputError, TextTooLong
from models.transforms.vectors import finished
from service.tasks.base import Answer, Item, OptionInvalid, Prepared, Row, TaskOptions
from service.tasks.text import TextOptions, TextTask
from service.tasks.vectors import VectorOutput, written

TextOrIds = str | tuple[int, ...]


class SentenceEmbeddingOptions(TextOptions):
    """How the vector is wanted."""

    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="only so many numbers, for models that were trained to be shortened",
    )
    normalize: bool | None = Field(
        default=None, description="give the vector length 1; default: as the model was published"
    )
    prompt_name: str | None = Field(
        default=None,
        max_length=64,
        description="which of the model's prompts stands before the text; default: the model's",
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="numbers, or their little-endian float32 bytes in base64"
    )


class EmbeddingAnswer(BaseModel):
    embedding: list[float] | str = Field(description="the vector, or its base64")
    dimensions: int = Field(description="how many numbers it has")
    tokens: int = Field(description="tokens that were read, special ones included")


class SentenceEmbedding(TextTask[SentenceEmbeddingOptions]):
    """Vector float32 [D] → as many numbers of it as are wanted, of length 1 or as they are."""

    name: ClassVar[str] = "sentence-embedding"
    options: ClassVar[type[TaskOptions]] = SentenceEmbeddingOptions
    answer: ClassVar[type[BaseModel]] = EmbeddingAnswer
    prepares_together: ClassVar[bool] = True

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._output = VectorOutput(self.manifest)
        self.dimensions = self._output.dimensions
        self._vector = self._output.block
        self._vocabulary = self.encoder.tokenizer.get_vocab_size()

    @override
    def parse_options(self, given: Mapping[str, object]) -> SentenceEmbeddingOptions:
        """Raises OptionInvalid also for a number of dimensions that this model cannot give."""
        options = super().parse_options(given)
        self._require_prompt(options.prompt_name)
        self._output.require_dimensions(options.dimensions)
        return options

    @override
    def split(self, value: object) -> list[object]:
        """Token ids are a list too: [1, 2] is one instance, [[1, 2], [3]] and ["a", [1]] are two."""
        if isinstance(value, list) and all(isinstance(part, str | dict | list) for part in value):
            return value
        return [value]

    @override
    def read_json(self, value: object) -> TextOrIds:  # type: ignore[override]
        if not isinstance(value, list):
            return super().read_json(value)
        if any(type(part) is not int for part in value):
            raise InputError(f"{self.field} must be a string, or a list of token ids")
        return tuple(value)

    @override
    def preprocess(self, instance: TextOrIds, options: SentenceEmbeddingOptions) -> Prepared:
        [prepared] = self.preprocess_many([instance], options)
        return prepared

    @override
    def preprocess_many(
        self, instances: Sequence[TextOrIds], options: SentenceEmbeddingOptions
    ) -> list[Prepared]:
        prompt = self.block.prompt(options.prompt_name)
        texts = [prompt + instance for instance in instances if isinstance(instance, str)]
        rows = iter(self.encoder.encode_batch(texts, truncate=options.truncate))
        return [
            self._prepared(
                next(rows)
                if isinstance(instance, str)
                else self._of_ids(instance, truncate=options.truncate)
            )
            for instance in instances
        ]

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: SentenceEmbeddingOptions
    ) -> Answer:
        vector = self._output.read(rows[0])
        wanted = options.normalize
        vector = finished(
            vector,
            dimensions=options.dimensions,
            normalise=self._vector.is_normalised if wanted is None else wanted,
        )
        return {
            "embedding": written(vector, options.encoding_format),
            "dimensions": len(vector),
            "tokens": prepared.kept,
        }

    @override
    def instance_schema(self) -> dict[str, object]:
        ids = {"type": "array", "items": {"type": "integer"}, "description": "its token ids"}
        return {"anyOf": [super().instance_schema(), ids]}

    def _require_prompt(self, name: str | None) -> None:
        if name is not None and name not in self.block.prompts:
            known = ", ".join(sorted(self.block.prompts)) or "none"
            raise OptionInvalid(
                f"option 'prompt_name': this model has no such prompt; it has: {known}",
                "prompt_name",
            )

    def _prepared(self, item: Item) -> Prepared:
        return Prepared.one(item, kept=len(item[self.block.ids_input]))

    def _of_ids(self, ids: tuple[int, ...], *, truncate: bool) -> Item:
        """The graph's own inputs: special tokens are where the caller put them."""
        if not ids:
            raise InputError("a list of token ids must not be empty")
        wrong = next((token for token in ids if not 0 <= token < self._vocabulary), None)
        if wrong is not None:
            raise InputError(f"token id {wrong} is outside 0…{self._vocabulary - 1}")
        if len(ids) > self.block.max_tokens and not truncate:
            raise TextTooLong(
                f"{len(ids)} token ids, more than {self.block.max_tokens}; shorten it or ask for "
                "truncation"
            )
        row = np.array(ids[: self.block.max_tokens], dtype=np.int64)
        item = {self.block.ids_input: row}
        if self.block.mask_input is not None:
            item[self.block.mask_input] = np.ones_like(row)
        if self.block.type_ids_input is not None:
            item[self.block.type_ids_input] = np.zeros_like(row)
        return item
