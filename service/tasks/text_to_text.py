"""Text to text: a text → its translation, its summary, through the generation engine's encoder–decoders."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from tokenizers import Tokenizer

from models.blocks import GenerationPostprocessing, SourceTextPreprocessing, TextPreprocessing
from models.bundle import Bundle
from models.errors import IntegrityError, ManifestInvalid, TextEmpty
from models.golden import Golden
from models.manifest import GOLDEN_FILE
from models.transforms.text import TextEncoder
from service.generation.request import (
    MAX_LENGTH_PENALTY,
    MAX_REPETITION_PENALTY,
    MAX_TOKENS,
    GenerationRequest,
    RankedAnswer,
    SamplingParams,
)
from service.tasks.base import Answer, GenerationTask, OptionInvalid, TaskOptions, TokenReader
from service.tasks.detokenizer import Detokenizer
from service.tasks.inputs import read_text
from service.tasks.text import TextOptions

_EXAMPLE = "Hello, how are you?"
_MAX_BEAMS = 16
# Options that only mean something where each token is chosen by itself, and what switches them off.
_DRAWN = {"temperature": 0.0, "repetition_penalty": 1.0}


class TextToTextOptions(TextOptions):
    """How long, and how the answer is searched for or drawn."""

    max_tokens: int | None = Field(
        default=None, ge=1, le=MAX_TOKENS, description="longest answer; default: the model's"
    )
    min_tokens: int = Field(
        default=0, ge=0, le=MAX_TOKENS, description="before so many tokens nothing ends the answer"
    )
    num_beams: int | None = Field(
        default=None,
        ge=1,
        le=_MAX_BEAMS,
        description="answers that are followed side by side; 1 always takes the likeliest token; "
        "default: the model's, and 1 where tokens are drawn or penalised",
    )
    length_penalty: float | None = Field(
        default=None,
        ge=-MAX_LENGTH_PENALTY,
        le=MAX_LENGTH_PENALTY,
        description="scores are divided by the length to this power; above 1 prefers long answers; "
        "default: the model's",
    )
    n: int = Field(
        default=1, ge=1, le=_MAX_BEAMS, description="so many of the best answers of the search"
    )
    temperature: float = Field(
        default=0.0, ge=0, le=2, description="above 0 tokens are drawn, not searched for"
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="draw from the likeliest tokens with this much mass"
    )
    top_k: int = Field(
        default=0, ge=-1, le=1_000_000, description="… or this many; 0 or -1: no limit"
    )
    min_p: float = Field(
        default=0.0, ge=0, le=1, description="… at least so likely, relative to the likeliest"
    )
    repetition_penalty: float = Field(
        default=1.0,
        gt=0,
        le=MAX_REPETITION_PENALTY,
        description="above 1: less of what the answer holds already",
    )
    seed: int | None = Field(
        default=None, ge=-(2**63), lt=2**63, description="same seed, same answer, where one draws"
    )


class WrittenText(BaseModel):
    text: str
    finish_reason: str = Field(description="stop: the model ended it; length: max_tokens")
    completion_tokens: int
    score: float | None = Field(
        description="log-probability over length to the power of length_penalty; higher is likelier"
    )


class TextToTextAnswer(WrittenText):
    source_tokens: int = Field(description="of the text, as the model reads it")
    alternatives: list[WrittenText] | None = Field(
        default=None, description="the next best answers, where `n` asks for them"
    )


class TextToText(GenerationTask[str, TextToTextOptions]):
    name: ClassVar[str] = "text-to-text"
    field: ClassVar[str] = "text"
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)
    options: ClassVar[type[TaskOptions]] = TextToTextOptions
    answer: ClassVar[type[BaseModel]] = TextToTextAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        source, generation = self.manifest.preprocessing, self.manifest.postprocessing
        if not isinstance(source, SourceTextPreprocessing):
            raise ManifestInvalid(f"{self.name} needs source_text preprocessing, not {source.kind}")
        if not isinstance(generation, GenerationPostprocessing):
            raise ManifestInvalid(f"{self.name} needs generation postprocessing")
        self._source, self._generation = source, generation
        read = TextPreprocessing(tokenizer=source.tokenizer, max_tokens=source.max_source_tokens)
        self.encoder = TextEncoder(bundle.read_text(source.tokenizer), read)
        target = bundle.read_text(source.target_tokenizer or source.tokenizer)
        self.target_tokenizer = Tokenizer.from_str(target)
        self._longest_tokens = source.context_tokens - 1  # one is the token that answers start from

    def parse_options(self, given: Mapping[str, object]) -> TextToTextOptions:
        """Also raises OptionInvalid where two options contradict each other."""
        options = super().parse_options(given)
        self._check_lengths(options)
        beams = self._num_beams(options)
        drawn = [name for name, off in _DRAWN.items() if getattr(options, name) != off]
        if beams > 1 and drawn:
            raise OptionInvalid(
                f"option 'num_beams': a search of {beams} beams takes no {drawn[0]}; ask for one "
                "or the other",
                "num_beams",
            )
        if options.n > beams:
            raise OptionInvalid(
                f"option 'n': {options.n} answers need a search of as many beams; num_beams is "
                f"{beams}",
                "n",
            )
        return options

    def read_json(self, value: object) -> str:
        return read_text(value, self.field)

    def preprocess(self, instance: str, options: TextToTextOptions) -> GenerationRequest:
        if not instance.strip():
            raise TextEmpty("the text is empty; send at least one character")
        row = self.encoder.encode(self._source.source_prefix + instance, truncate=options.truncate)
        penalty = options.length_penalty
        beams = self._num_beams(options)
        params = SamplingParams(
            max_tokens=self._max_tokens(options),
            min_tokens=options.min_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=max(0, options.top_k),
            min_p=options.min_p,
            repetition_penalty=options.repetition_penalty,
            seed=options.seed,
            stop_token_ids=self._generation.stop_token_ids,
            logprobs=0 if beams == 1 else None,  # of which the score is made
            num_beams=beams,
            length_penalty=self._generation.length_penalty if penalty is None else penalty,
            n=options.n,
        )
        start = (self._source.decoder_start_token_id,)
        ids = row[self.encoder.block.ids_input]
        return GenerationRequest(start, params, source_ids=tuple(ids.tolist()))

    def new_reader(self, options: TextToTextOptions) -> Detokenizer:  # noqa: ARG002
        return Detokenizer(self.target_tokenizer)

    def postprocess(
        self, request: GenerationRequest, reader: TokenReader, finish_reason: str
    ) -> Answer:
        assert reader.last is not None
        answer: Answer = {
            "text": reader.text.strip(),
            "finish_reason": finish_reason,
            "source_tokens": len(request.source_ids),
            "completion_tokens": reader.token_count,
            "score": reader.last.score,
        }
        if request.sampling.n > 1:
            answer["alternatives"] = [self._written(other) for other in reader.last.alternatives]
        return answer

    def instance_schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "description": f"text of at most {self._source.max_source_tokens} tokens",
        }

    def example(self) -> object:
        """The first text of the exam, without the prefix that every text is given."""
        if GOLDEN_FILE not in self.manifest.files:
            return _EXAMPLE
        try:
            inputs = Golden.from_bytes(self.bundle.read(GOLDEN_FILE)).inputs
        except IntegrityError:
            return _EXAMPLE  # the loader judges the exam; an example is not worth failing for
        if not {"input_ids", "attention_mask"} <= inputs.keys():
            return _EXAMPLE
        ids = inputs["input_ids"][0][np.flatnonzero(inputs["attention_mask"][0])]
        text: str = self.encoder.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
        return text.removeprefix(self._source.source_prefix).strip() or _EXAMPLE

    def _written(self, answer: RankedAnswer) -> Answer:
        ids = list(answer.token_ids)
        return {
            "text": self.target_tokenizer.decode(ids, skip_special_tokens=True).strip(),
            "finish_reason": answer.finish_reason,
            "completion_tokens": len(ids),
            "score": answer.score,
        }

    def _num_beams(self, options: TextToTextOptions) -> int:
        if options.num_beams is not None:
            return options.num_beams
        is_drawn = any(getattr(options, name) != off for name, off in _DRAWN.items())
        return 1 if is_drawn else self._generation.num_beams

    def _max_tokens(self, options: TextToTextOptions) -> int:
        return options.max_tokens or min(self._generation.default_max_tokens, self._longest_tokens)

    def _check_lengths(self, options: TextToTextOptions) -> None:
        if (options.max_tokens or 1) > self._longest_tokens:
            raise OptionInvalid(
                f"option 'max_tokens': this model writes at most {self._longest_tokens} tokens",
                "max_tokens",
            )
        if options.min_tokens > self._max_tokens(options):
            raise OptionInvalid(
                f"option 'min_tokens': {options.min_tokens} is above the "
                f"{self._max_tokens(options)} that may be written",
                "min_tokens",
            )
