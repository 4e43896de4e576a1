"""What is sent: completions with made-up or given prompts, chats, and questions to models of other kinds.

Made-up prompts are everyday words in random order, the same for the same seed. How many words make a token
is asked of the server first, so that `--prompt-tokens` is met within a word or two whatever the tokenizer;
the report says how many they were. No two prompts begin alike: kept prefixes would make them free.
"""

import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from models.errors import UsageError
from service.ask.call import RemoteRefused
from service.bench.target import Target

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
_TEXT = """
river mountain bridge harbour ship captain storm cloud rain morning evening winter summer garden kitchen
window door table bread coffee sugar salt water stone iron paper letter book story teacher doctor farmer
painter engineer student child mother father friend neighbour stranger city village street market station
train ticket journey map country border language music song dance measure weigh build carry repair open
close begin finish travel remember forget promise explain quickly slowly often never always almost together
"""
_WORDS = _TEXT.split()
_TRIAL_WORDS = (64, 16, 4)  # fewer where the context is short
_USUAL_WORDS_PER_TOKEN = 0.75  # for servers that do not count


@dataclass(frozen=True)
class Lengths:
    """Tokens, drawn evenly from both ends inclusive."""

    shortest: int
    longest: int

    @classmethod
    def parse(cls, typed: str, flag: str) -> "Lengths":
        """`N` or `LOW-HIGH`. Raises UsageError."""
        low, dash, high = typed.partition("-")
        try:
            found = cls(int(low), int(high if dash else low))
        except ValueError:
            found = cls(0, 0)
        if not 1 <= found.shortest <= found.longest:
            raise UsageError(
                f"{flag} {typed!r}: write a number of tokens, or a range such as 16-100"
            )
        return found

    def draw(self, dice: random.Random) -> int:
        return dice.randint(self.shortest, self.longest)


@dataclass(frozen=True)
class Generation:
    """`may_stop`: answers may end before their length. `more`: members of every request's body."""

    model: str
    prompt_tokens: Lengths
    output_tokens: Lengths
    is_chat: bool = False
    may_stop: bool = False
    temperature: float = 1.0
    seed: int = 0
    more: Mapping[str, object] = field(default_factory=dict)

    def messages(self, target: Target, given: Sequence[Mapping[str, object]]) -> Iterator[bytes]:
        """Whole HTTP messages, endless; of `given` prompts, again and again, or of made-up ones.

        Asks the server one question first. Raises RemoteRefused with its words when it refuses that.
        """
        dice = random.Random(self.seed)
        if given:
            self._trial(target, given[0])
            return self._endless(target, itertools.cycle(given), dice)
        return self._endless(target, self._made_up(dice, self._words_per_token(target)), dice)

    def request(self, prompt: Mapping[str, object], longest: int) -> tuple[str, dict[str, object]]:
        """Path and body; `prompt` has a prompt or messages, and may have members of its own."""
        is_chat = "messages" in prompt
        if self.is_chat and not is_chat:
            text = {"role": "user", "content": prompt["prompt"]}
            prompt = {k: v for k, v in prompt.items() if k != "prompt"} | {"messages": [text]}
            is_chat = True
        forced = {} if self.may_stop else {"ignore_eos": True}
        body: dict[str, object] = {
            "model": self.model,
            "max_tokens": longest,
            "temperature": self.temperature,
            **forced,
            **self.more,
            **prompt,
        }
        return CHAT if is_chat else COMPLETIONS, body

    def _endless(
        self, target: Target, prompts: Iterator[Mapping[str, object]], dice: random.Random
    ) -> Iterator[bytes]:
        for prompt in prompts:
            path, body = self.request(prompt, self.output_tokens.draw(dice))
            yield target.post(path, orjson.dumps({**body, **_STREAMED}))

    def _made_up(self, dice: random.Random, words_per_token: float) -> Iterator[dict[str, object]]:
        while True:
            count = max(1, round(self.prompt_tokens.draw(dice) * words_per_token))
            yield {"prompt": made_up_text(dice, count)}

    def _words_per_token(self, target: Target) -> float:
        dice = random.Random(f"trial {self.seed}")
        for count in _TRIAL_WORDS:
            try:
                tokens = self._trial(target, {"prompt": made_up_text(dice, count)})
            except RemoteRefused:
                if count == _TRIAL_WORDS[-1]:
                    raise
            else:
                return count / tokens if tokens else _USUAL_WORDS_PER_TOKEN
        raise AssertionError("the last trial returns or raises")

    def _trial(self, target: Target, prompt: Mapping[str, object]) -> int:
        """How many tokens the server counts in the prompt; 0 where it does not say."""
        path, body = self.request(prompt, 1)
        usage: Any = target.ask(path, orjson.dumps({**body, "max_tokens": 1})).get("usage") or {}
        return int(usage.get("prompt_tokens") or 0)


_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def made_up_text(dice: random.Random, words: int) -> str:
    """Everyday words in random order."""
    return " ".join(dice.choices(_WORDS, k=words))


def read_prompts(file: Path) -> list[dict[str, object]]:
    """A prompt per line: plain text, or JSON objects with `prompt` or `messages` and further members.

    Raises UsageError with file and line.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prompts {file} cannot be read: {error}") from error
    found = [_prompt(line, f"{file}:{at}") for at, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"--prompts {file} holds no prompts")
    return found


def _prompt(line: str, where: str) -> dict[str, object]:
    if not line.lstrip().startswith("{"):
        return {"prompt": line}
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: begins like JSON but is none: {error.msg}") from error
    if ("prompt" in found) == ("messages" in found):
        raise UsageError(f'{where}: needs either "prompt" or "messages"')
    return {key: value for key, value in found.items() if key != "model"}
