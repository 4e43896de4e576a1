"""Constraints → matchers, for one model: compiled on threads of their own, the compiled ones kept.

Used by host.py, which lets a request join the engine when its matcher is there. Nothing here holds up the
engine's thread: an evil expression can cost minutes and cannot be interrupted, so its request is refused
after `limit_s`, the verdict is remembered, and the thread that is stuck with it is one of two, of the
lowest priority. While both are stuck further new constraints are refused; those compiled go on.

Source: llguidance 1.9 (https://github.com/guidance-ai/llguidance), whose limits bound memory and the time
of a step, but not that of compiling (a `multipleOf` of 1,234,567 took 171 s).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from queue import Full, Queue
from typing import TYPE_CHECKING

import numpy as np

from models.errors import InferenceFailed, SlipwayError
from service.errors import BadRequest, QueueFull
from service.generation.constraint import GrammarMatcher, sentence
from service.generation.request import Constraint

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_THREADS = 2
_MAX_QUEUED = 256
_MAX_KEPT = 64  # grammars, most of them some hundred KB; verdicts count as well
_NICE = 10
_RETRY_S = 1.0
_TRIAL_TOKENS = 4
_SLOWEST_STEP_S = 0.05  # CPU time of any of these; everybody's tokens would wait as long
_END = "<|slipway:end|>"
# Between the parts of a JSON value: nothing, a space, or a line break and an indentation. JSON allows any
# amount, and a model that has lost its way writes nothing else until its tokens are used up.
_WHITESPACE = r"[ ]|\r?\n[ \t]{0,64}"


@dataclass(frozen=True)
class _Job:
    constraint: Constraint
    matcher: Future[GrammarMatcher]
    began: threading.Event


class GrammarCompiler:
    """`tokenizer` is the text of a tokenizer.json, `vocabulary` the size V of the model's logits."""

    def __init__(self, tokenizer: str, vocabulary: int, limit_s: float = 5.0) -> None:
        self._tokenizer_json = tokenizer
        self._vocabulary = vocabulary
        self._limit_s = limit_s
        self._jobs: Queue[_Job | None] = Queue(_MAX_QUEUED)
        self._lock = threading.Lock()
        self._kept: OrderedDict[Constraint, LLMatcher | BadRequest] = OrderedDict()
        self._tokenizer: LLTokenizer | BadRequest | None = None
        self._tokenizer_lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def prepare(self, constraint: Constraint) -> Future[GrammarMatcher]:
        """At once; the result comes within `limit_s`: a matcher of the caller's own, BadRequest with what
        is wrong with the constraint, or QueueFull."""
        job = _Job(constraint, Future(), threading.Event())
        verdict = self._kept.get(constraint)
        if isinstance(verdict, BadRequest):
            job.matcher.set_exception(verdict)
            return job.matcher
        self._start_threads()
        try:
            self._jobs.put_nowait(job)
        except Full:
            job.matcher.set_exception(_too_busy())
            return job.matcher
        timer = threading.Timer(self._limit_s, self._give_up, [job])
        timer.daemon = True
        timer.start()
        job.matcher.add_done_callback(lambda _: timer.cancel())
        return job.matcher

    def close(self) -> None:
        """End the threads when they have finished what they do; nobody waits for them."""
        for _ in self._threads:
            with contextlib.suppress(Full):
                self._jobs.put_nowait(None)

    def _start_threads(self) -> None:
        with self._lock:
            while len(self._threads) < _THREADS:
                # Daemons: one that is stuck must not hold up the end of the process.
                thread = threading.Thread(target=self._work, name="grammars", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # a courtesy, known to Linux alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while (job := self._jobs.get()) is not None:
            if not job.matcher.done():
                job.began.set()
                self._answer(job)

    def _answer(self, job: _Job) -> None:
        matcher: GrammarMatcher | None = None
        error: SlipwayError | None = None
        try:
            matcher = self._matcher(job.constraint)
        except SlipwayError as refusal:
            error = refusal
        except BaseException as failure:  # a Rust panic is no Exception: the request is told
            error = InferenceFailed("the constraint could not be compiled", repr(failure))
        with contextlib.suppress(InvalidStateError):  # given up meanwhile
            if matcher is not None:
                job.matcher.set_result(matcher)
            else:
                job.matcher.set_exception(error)

    def _give_up(self, job: _Job) -> None:
        error: SlipwayError = _too_busy()
        if job.began.is_set():
            error = BadRequest(
                f"the constraint takes more than {self._limit_s:g} s to compile; simplify it"
            )
            self._keep(job.constraint, error)
        with contextlib.suppress(InvalidStateError):
            job.matcher.set_exception(error)

    def _matcher(self, constraint: Constraint) -> GrammarMatcher:
        """Compiled, or a copy of the one that is kept: an answer leaves no trace in the next."""
        tokenizer = self._load_tokenizer()
        found = self._recall(constraint)
        if found is None:
            try:
                found = compiled(constraint, tokenizer)
                self._try_out(found, tokenizer)
            except BadRequest as refusal:
                self._keep(constraint, refusal)
                raise
            self._keep(constraint, found)
        if isinstance(found, BadRequest):
            raise found
        return GrammarMatcher(found.deep_copy(), self._vocabulary, tokenizer.eos_token)

    def _try_out(self, matcher: LLMatcher, tokenizer: LLTokenizer) -> None:
        """Raises BadRequest for a constraint that allows nothing or costs too much at every token.

        The first mask is the costliest; it is found here, and in every copy from then on.
        """
        first = GrammarMatcher(matcher, self._vocabulary, tokenizer.eos_token)
        if not first.allowed().any():
            raise BadRequest("the constraint allows no answer with this model's tokens")
        trial = GrammarMatcher(matcher.deep_copy(), self._vocabulary, tokenizer.eos_token)
        for _ in range(_TRIAL_TOKENS):
            tokens = np.flatnonzero(trial.allowed())
            if len(tokens) == 0:
                return
            before_s = trial.spent_s
            trial.accept(int(tokens[len(tokens) // 2]))
            step_s = trial.spent_s - before_s
            if step_s > _SLOWEST_STEP_S:
                raise BadRequest(
                    f"the constraint is too complex: {step_s * 1e3:.0f} ms for a token; simplify it"
                )

    def _recall(self, constraint: Constraint) -> LLMatcher | BadRequest | None:
        with self._lock:
            found = self._kept.get(constraint)
            if found is not None:
                self._kept.move_to_end(constraint)
            return found

    def _keep(self, constraint: Constraint, found: LLMatcher | BadRequest) -> None:
        with self._lock:
            # A verdict of the clock stands: what comes after it must not be tried by the next caller.
            if not isinstance(self._kept.get(constraint), BadRequest):
                self._kept[constraint] = found
            self._kept.move_to_end(constraint)
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)

    def _load_tokenizer(self) -> LLTokenizer:
        with self._tokenizer_lock:
            if self._tokenizer is None:
                self._tokenizer = _open_tokenizer(self._tokenizer_json, self._vocabulary)
                self._tokenizer_json = ""  # megabytes, not needed again
            if isinstance(self._tokenizer, BadRequest):
                raise self._tokenizer
            return self._tokenizer


def compiled(constraint: Constraint, tokenizer: LLTokenizer) -> LLMatcher:
    """Raises BadRequest with llguidance's sentence."""
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(
        max_items_in_row=5_000,  # an object with 1,200 optional properties
        step_max_items=20_000,
        max_lexer_states=10_000,
        max_grammar_size=100_000,
        verbose_errors=False,
    )
    try:
        grammar = _GRAMMARS[constraint.kind](constraint.text)
    except ValueError as error:
        raise BadRequest(f"the constraint is not valid: {error}") from error
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    if matcher.is_error():
        raise BadRequest(f"the constraint is not valid: {sentence(matcher)}")
    return matcher


def _json_schema(text: str) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_json_schema(text, defaults={"whitespace_pattern": _WHITESPACE})


def _regex(text: str) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(text)


def _grammar(text: str) -> str:
    from llguidance import grammar_from

    return grammar_from("grammar", text)


_GRAMMARS: dict[str, Callable[[str], str]] = {
    "json_schema": _json_schema,
    "json_object": lambda _: _json_schema('{"type": "object"}'),
    "regex": _regex,
    "grammar": _grammar,
}


def _open_tokenizer(text: str, vocabulary: int) -> LLTokenizer | BadRequest:
    """With a token of its own for the end, because a model may have several stop tokens, or none."""
    from llguidance import LLTokenizer
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.add_special_tokens([_END])
    end = tokenizer.token_to_id(_END)
    assert end is not None
    try:
        return LLTokenizer(tokenizer.to_str(), n_vocab=max(vocabulary, end + 1), eos_token=end)
    except ValueError as error:
        return BadRequest(f"this model's answers cannot be constrained: {error}")


def _too_busy() -> QueueFull:
    return QueueFull("too many constraints are being compiled; try again later", _RETRY_S)
