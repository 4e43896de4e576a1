"""The tokens of texts, shown to callers who cut long texts themselves. For every task that reads text."""

from collections.abc import Sequence
from typing import TypedDict

from tokenizers import Encoding, Tokenizer

from models.blocks import PromptPreprocessing, SourceTextPreprocessing, TextPreprocessing
from models.errors import InputError
from models.manifest import Manifest
from models.transforms.text import TextEncoder
from service.tasks.base import ServiceTask


class Token(TypedDict):
    """`start` and `stop` count characters; None for tokens that stand for no text."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


def has_tokenizer(manifest: Manifest) -> bool:
    return isinstance(
        manifest.preprocessing, TextPreprocessing | PromptPreprocessing | SourceTextPreprocessing
    )


def tokens_of(task: ServiceTask, texts: Sequence[str], *, special: bool) -> list[list[Token]]:
    """Of the whole texts, never cut; `special`: with the tokens that the model's tokenizer adds. Raises
    InputError."""
    encoder = getattr(task, "encoder", None)
    if isinstance(encoder, TextEncoder):
        encodings = encoder.encode_whole(texts, special=special)
    else:
        tokenizer = getattr(task, "tokenizer", None)
        if not isinstance(tokenizer, Tokenizer):
            raise InputError(f"{task.name} models have no tokenizer")
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=special)
    return [_tokens(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]


def _tokens(text: str, encoding: Encoding) -> list[Token]:
    parts = zip(
        encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True
    )
    return [
        Token(id=number, text=token, special=True, start=None, stop=None)
        if is_special
        else Token(id=number, text=text[start:stop], special=False, start=start, stop=stop)
        for number, token, (start, stop), is_special in parts
    ]
