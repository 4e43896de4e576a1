"""Extractive question answering: a question and a passage → the passage's words that answer it, or nothing.

Places count Unicode code points, as Python's `context[start:end]` does, in the passage as it was sent. A
long passage is read in windows that overlap; a question that leaves no room for it is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import SpanPostprocessing, TextPreprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid
from models.transforms.spans import SPECIAL, SpanWindow, search, trimmed
from models.transforms.text import EncodedText, TextEncoder
from service.tasks.base import Answer, BatchTask, Prepared, Row, TaskOptions
from service.tasks.examples import golden_item
from service.tasks.text import TextOptions

_INLINE_CHARACTERS = 500
_EXAMPLE = {
    "question": "Where was Ada Lovelace born?",
    "context": "Ada Lovelace was born in London in 1815. Her father died in Greece.",
}


class QuestionAnsweringOptions(TextOptions):
    """How many answers, how long, and when to say that there is none."""

    truncate: bool = Field(
        default=False,
        description="read the beginning of a context that is too long, instead of refusing it",
    )
    top_k: int = Field(
        default=1, ge=1, le=20, description="answers to return, best first; they do not overlap"
    )
    max_answer_tokens: int | None = Field(
        default=None, ge=1, le=512, description="longest answer; default: the model's"
    )
    no_answer_threshold: float | None = Field(
        default=None,
        ge=-1000,
        le=1000,
        description="lead of `nothing` over the best span, in logits, from which on it is the answer; "
        "lower: more often nothing; default: the model's",
    )


class Question(NamedTuple):
    question: str
    context: str


class FoundAnswer(BaseModel):
    answer: str = Field(description="exactly what stands at its place in the context")
    start: int = Field(ge=0, description="first character, in Unicode code points of the context")
    end: int = Field(ge=0, description="the character after its last one")
    score: float = Field(ge=0, le=1, description="its share among all possible answers")


class QuestionAnsweringAnswer(BaseModel):
    has_answer: bool = Field(description="false: the context does not answer the question")
    answer: str = Field(description="the best answer; empty where there is none")
    start: int | None = Field(description="null where there is no answer")
    end: int | None
    score: float = Field(ge=0, le=1, description="of the answer, or of there being none")
    answers: list[FoundAnswer] = Field(
        description="the `top_k` best spans, also where none is better"
    )


class QuestionAnswering(BatchTask[Question, QuestionAnsweringOptions]):
    name: ClassVar[str] = "question-answering"
    field: ClassVar[str] = "inputs"
    parts: ClassVar[tuple[str, ...]] = ("question", "context")
    options: ClassVar[type[TaskOptions]] = QuestionAnsweringOptions
    answer: ClassVar[type[BaseModel]] = QuestionAnsweringAnswer
    is_heavy_to_answer: ClassVar[bool] = True

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        before, after = self.manifest.preprocessing, self.manifest.postprocessing
        if not isinstance(before, TextPreprocessing) or not before.is_pair:
            raise ManifestInvalid(f"{self.name} needs text preprocessing of pairs")
        if not isinstance(after, SpanPostprocessing):
            raise ManifestInvalid(f"{self.name} needs span postprocessing, not {after.kind}")
        outputs = {spec.name for spec in self.manifest.outputs}
        for output in (after.start_output, after.end_output):
            if output not in outputs:
                raise ManifestInvalid(f"{self.name}: there is no output {output!r}")
        self.block, self._after = before, after
        self.encoder = TextEncoder(bundle.read_text(before.tokenizer), before)

    @override
    def read_json(self, value: object) -> Question:
        if not isinstance(value, Mapping) or value.keys() != {"question", "context"}:
            raise InputError('send {"question": "…", "context": "…"}')
        for part, text in value.items():
            if not isinstance(text, str):
                raise InputError(f"{part} must be a string")
            if not text.strip():
                raise InputError(f"the {part} is empty; send at least one character")
        return Question(value["question"], value["context"])

    @override
    def is_heavy(self, instance: Question) -> bool:
        return len(instance.question) + len(instance.context) > _INLINE_CHARACTERS

    @override
    def preprocess(self, instance: Question, options: QuestionAnsweringOptions) -> Prepared:
        windows = self.encoder.encode_pair(
            instance.question, instance.context, truncate=options.truncate
        )
        return Prepared(tuple(window.row for window in windows), (instance.context, windows))

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: QuestionAnsweringOptions
    ) -> Answer:
        context, encoded = prepared.kept
        found = search(
            [self._window(row, window) for row, window in zip(rows, encoded, strict=True)],
            max_answer_tokens=options.max_answer_tokens or self._after.max_answer_tokens,
            top_k=options.top_k,
            may_have_no_answer=self._after.may_have_no_answer,
            temperature=self.manifest.temperature,
        )
        answers = []
        for place in found.answers:
            start, end = trimmed(context, place.start, place.end)
            answers.append(
                {"answer": context[start:end], "start": start, "end": end, "score": place.score}
            )
        threshold = options.no_answer_threshold
        if threshold is None:
            threshold = self._after.no_answer_threshold
        is_nothing = self._after.may_have_no_answer and found.nothing_lead >= threshold
        if is_nothing or not answers:
            nothing: Answer = {"answer": "", "start": None, "end": None}
            return {
                "has_answer": False,
                **nothing,
                "score": min(1.0, found.nothing_score),
                "answers": answers,
            }
        return {"has_answer": True, **answers[0], "answers": answers}

    def _window(self, row: Row, encoded: EncodedText) -> SpanWindow:
        start, end = row[self._after.start_output], row[self._after.end_output]
        if not (np.isfinite(start).all() and np.isfinite(end).all()):
            raise InferenceFailed("the model's answer to this input is not a number")
        return SpanWindow(start, end, encoded.offsets, encoded.sequence)

    @override
    def instance_schema(self) -> dict[str, object]:
        limit = self.block.max_tokens
        text: dict[str, Any] = {"type": "string", "minLength": 1}
        return {
            "type": "object",
            "description": "a question and the passage that may answer it",
            "properties": {
                "question": {
                    **text,
                    "description": f"must leave room for a passage in {limit} tokens",
                },
                "context": {**text, "description": "read in windows where it is long"},
            },
            "required": ["question", "context"],
            "additionalProperties": False,
        }

    @override
    def example(self) -> object:
        """The exam's first item, put back into words."""
        ids = golden_item(self.bundle).get(self.block.ids_input)
        if ids is None:
            return _EXAMPLE
        probe = self.encoder.encode_pair("a", "b")[0]
        special = set(probe.row[self.block.ids_input][probe.sequence == SPECIAL].tolist())
        texts: list[list[int]] = [[]]
        for token in ids.tolist():
            if token not in special:
                texts[-1].append(token)
            elif texts[-1]:
                texts.append([])
        words = [self.encoder.tokenizer.decode(text).strip() for text in texts if text]
        if len(words) < 2 or not all(words[:2]):
            return _EXAMPLE
        return {"question": words[0], "context": words[1]}
