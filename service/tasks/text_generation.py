"""Text generation: a prompt → its continuation, through the generation engine."""

from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from tokenizers import Tokenizer

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.bundle import Bundle
from models.errors import InputError, ManifestInvalid, TextEmpty, TextTooLong
from service.chat.encoding import ChatEncoder
from service.chat.template import ChatTemplate
from service.generation.request import GenerationRequest
from service.tasks.base import Answer, GenerationTask, TaskOptions, TokenReader
from service.tasks.detokenizer import Detokenizer
from service.tasks.examples import golden_item
from service.tasks.inputs import read_text
from service.tasks.sampling_options import TextGenerationOptions, check_tokens, sampling_params
from service.tasks.token_texts import TokenTexts

_EXAMPLE_TOKENS = 12

Prompt = str | tuple[int, ...]
"""Text, or token ids of the model's own tokenizer."""


class GeneratedText(BaseModel):
    text: str = Field(description="what follows the prompt")
    finish_reason: str = Field(
        description="stop: the model or a stop text ended it; length: max_tokens"
    )
    prompt_tokens: int
    completion_tokens: int


class TextGeneration(GenerationTask[Prompt, TextGenerationOptions]):
    name: ClassVar[str] = "text-generation"
    field: ClassVar[str] = "prompt"
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)
    options: ClassVar[type[TaskOptions]] = TextGenerationOptions
    answer: ClassVar[type[BaseModel]] = GeneratedText

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        prompt, generation = self.manifest.preprocessing, self.manifest.postprocessing
        if not isinstance(prompt, PromptPreprocessing):
            raise ManifestInvalid(f"{self.name} needs prompt preprocessing, not {prompt.kind}")
        if not isinstance(generation, GenerationPostprocessing):
            raise ManifestInvalid(f"{self.name} needs generation postprocessing")
        self._prompt, self._generation = prompt, generation
        self.context_tokens = prompt.context_tokens
        self.tokenizer = Tokenizer.from_str(bundle.read_text(prompt.tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.vocabulary_size = self.tokenizer.get_vocab_size(with_added_tokens=True)
        longest = max((len(token) for token in self.tokenizer.get_vocab()), default=1)
        self._max_characters = self.context_tokens * longest
        self.token_texts = TokenTexts(self.tokenizer)
        self.tool_call_format = prompt.tool_call_format
        self.chat = self._open_chat(prompt.chat_template)

    def read_json(self, value: object) -> Prompt:
        return read_text(value, self.field)

    def preprocess(self, instance: Prompt, options: TextGenerationOptions) -> GenerationRequest:
        ids = self._encode(instance) if isinstance(instance, str) else self._checked(instance)
        room = self.context_tokens - len(ids)
        if room < 1 or (options.max_tokens or 1) > room:
            wanted = f" and max_tokens {options.max_tokens}" if options.max_tokens else ""
            raise TextTooLong(
                f"the prompt's {len(ids)} tokens{wanted} do not fit: this model's context holds "
                f"{self.context_tokens} tokens, prompt and answer together"
            )
        check_tokens(options, self.vocabulary_size)
        longest = options.max_tokens or min(room, self._generation.default_max_tokens)
        params = sampling_params(options, longest, self._generation.stop_token_ids)
        return GenerationRequest(ids, params)

    def new_reader(self, options: TextGenerationOptions) -> Detokenizer:
        return Detokenizer(self.tokenizer, [text for text in options.stop if text])

    def postprocess(
        self, request: GenerationRequest, reader: TokenReader, finish_reason: str
    ) -> Answer:
        return {
            "text": reader.text,
            "finish_reason": finish_reason,
            "prompt_tokens": len(request.prompt_ids),
            "completion_tokens": reader.token_count,
        }

    def instance_schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "description": f"text to continue; with the answer at most {self.context_tokens} tokens",
        }

    def example(self) -> object:
        arrays = [a for a in golden_item(self.bundle).values() if _looks_like_ids(a)]
        if arrays:
            ids = [i for i in arrays[0].tolist() if 0 <= i < self.vocabulary_size]
            text: str = self.tokenizer.decode(ids[:_EXAMPLE_TOKENS], skip_special_tokens=True)
            if text.strip():
                return text
        return "def main():\n"

    def _open_chat(self, file: str | None) -> ChatEncoder | None:
        """None for a model that does not chat. Raises ManifestInvalid for a template that fails."""
        if file is None:
            return None
        stops = self._generation.stop_token_ids
        tokens = {"bos_token": self._prompt.bos_token_id, "eos_token": stops[0] if stops else None}
        names = {
            name: self.tokenizer.id_to_token(token) or ""
            for name, token in tokens.items()
            if token is not None
        }
        template = ChatTemplate(self.bundle.read_text(file), names)
        return ChatEncoder(self.tokenizer, template, self._max_characters)

    def _encode(self, text: str) -> tuple[int, ...]:
        if len(text) > self._max_characters:  # cannot fit: spare the tokenizer the rest
            raise TextTooLong(
                f"the prompt's {len(text):,} characters cannot fit into this model's context of "
                f"{self.context_tokens} tokens"
            )
        ids = tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)
        first = () if self._prompt.bos_token_id is None else (self._prompt.bos_token_id,)
        if not first and not ids:
            raise TextEmpty("the prompt is empty; send at least one character")
        return first + ids

    def _checked(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        if not ids:
            raise TextEmpty("the prompt has no tokens; send at least one")
        odd = next((token for token in ids if not 0 <= token < self.vocabulary_size), None)
        if odd is not None:
            raise InputError(
                f"token {odd} is outside the vocabulary of {self.vocabulary_size} tokens"
            )
        return ids


def _looks_like_ids(array: np.ndarray) -> bool:
    return array.ndim == 1 and array.dtype.kind == "i" and array.size >= 2
