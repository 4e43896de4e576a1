"""Single tokens for people: the bytes that a token stands for, which need not be whole characters."""

import re
from functools import lru_cache

from tokenizers import Tokenizer, pre_tokenizers

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_MOST_KEPT = 65_536


class TokenTexts:
    """Of one tokenizer. Byte-level vocabularies spell bytes as letters, others have tokens such as
    `<0xE2>` for single bytes; every other token is text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        is_byte_level = "ByteLevel" in str(tokenizer.decoder)
        self._letters = _letters() if is_byte_level else {}
        self._added = {
            token: added.content for token, added in tokenizer.get_added_tokens_decoder().items()
        }
        self.data = lru_cache(_MOST_KEPT)(self._data)

    def text(self, token: int) -> str:
        """With U+FFFD where the token holds a part of a character."""
        return self.data(token).decode("utf-8", "replace")

    def _data(self, token: int) -> bytes:
        if token in self._added:
            return self._added[token].encode()
        piece = self._tokenizer.id_to_token(token)
        if piece is None:
            return b""
        if (byte := _BYTE.fullmatch(piece)) is not None:
            return bytes([int(byte[1], 16)])
        if self._letters and all(letter in self._letters for letter in piece):
            return bytes(self._letters[letter] for letter in piece)
        text: str = self._tokenizer.decode([token], skip_special_tokens=False)
        return text.encode()


def _letters() -> dict[str, int]:
    """Letter → byte of byte-level vocabularies (GPT-2): printable Latin-1 stands for itself, the other
    bytes for the letters from U+0100 on, in their order."""
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    plain = {letter: ord(letter) for letter in alphabet if ord(letter) < 0x100}
    others = sorted(set(range(256)) - set(plain.values()))
    return plain | {chr(0x100 + index): byte for index, byte in enumerate(others)}
