"""Constraints compile to matchers of the caller's own, or to a sentence; never on the engine's thread."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cache

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from models.errors import InferenceFailed, SlipwayError
from service.errors import BadRequest, QueueFull
from service.generation import grammars
from service.generation.constraint import GrammarMatcher
from service.generation.grammars import GrammarCompiler
from service.generation.request import Constraint
from training.data.byte_tokenizer import train_tokenizer

TEXTS = [
    '{"name": "Ada", "age": 36, "tags": ["a", "b"], "ok": true}',
    "the quick brown fox 123-4567",
]


@cache
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS * 3, 300)


VOCABULARY = 304  # a padded head: four places have no token


@pytest.fixture
def compiler() -> Iterator[GrammarCompiler]:
    made = GrammarCompiler(tokenizer().to_str(), VOCABULARY, limit_s=60)
    yield made
    made.close()


def error_of(future: "Future[GrammarMatcher]") -> SlipwayError:
    error = future.exception(30)
    assert isinstance(error, SlipwayError)
    return error


def spell(matcher: GrammarMatcher, text: str) -> None:
    for token in tokenizer().encode(text, add_special_tokens=False).ids:
        assert matcher.allowed()[token]
        matcher.accept(token)


@pytest.mark.parametrize(
    ("kind", "text", "whole"),
    [
        ("regex", r"\d{3}-\d{4}", "123-4567"),
        ("json_object", "", '{"name": "Ada", "age": [36, null]}'),
        ("json_schema", '{"type": "array", "items": {"type": "integer"}}', "[1, 2]"),
        ("json_schema", '{"enum": ["fox", 3]}', '"fox"'),
        ("grammar", 'start: "the " ("quick" | "brown")', "the quick"),
        ("grammar", 'root ::= "the " ("quick" | "brown")', "the brown"),
    ],
)
def test_every_kind_leads_to_its_end(
    compiler: GrammarCompiler, kind: str, text: str, whole: str
) -> None:
    matcher = compiler.prepare(Constraint(kind, text)).result(30)  # type: ignore[arg-type]
    assert not matcher.may_end
    spell(matcher, whole)
    assert matcher.may_end
    assert matcher.is_complete


def test_answer_that_may_go_on_may_end_without_being_complete(compiler: GrammarCompiler) -> None:
    matcher = compiler.prepare(Constraint("regex", "fo*")).result(30)
    spell(matcher, "f")
    assert matcher.may_end
    assert not matcher.is_complete


def test_places_without_a_token_and_special_tokens_are_never_allowed(
    compiler: GrammarCompiler,
) -> None:
    allowed = compiler.prepare(Constraint("regex", "(?s:.)*")).result(30).allowed()
    assert allowed.shape == (VOCABULARY,)
    assert not allowed[tokenizer().get_vocab_size() :].any()
    assert not allowed[0]


def test_matchers_of_one_constraint_do_not_know_each_other(compiler: GrammarCompiler) -> None:
    constraint = Constraint("regex", "(ab|cd)*")
    first, second = (compiler.prepare(constraint).result(30) for _ in range(2))
    before = second.allowed()
    spell(first, "a")
    assert (second.allowed() == before).all()
    assert (first.allowed() != before).any()


def test_whitespace_between_the_parts_of_json_is_bounded(compiler: GrammarCompiler) -> None:
    matcher = compiler.prepare(Constraint("json_object")).result(30)
    spell(matcher, "{ ")
    allowed = matcher.allowed()
    for token in tokenizer().encode(" ", add_special_tokens=False).ids:
        assert not allowed[token]


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("regex", "(a", "unclosed group"),
        ("regex", "(?=a)b", "look-around"),
        ("regex", "[a&&b]", "no text satisfies it"),
        ("regex", "", "needs its text"),
        ("regex", "x{0}", "allows no answer"),
        ("json_schema", "{", "not valid"),
        ("json_schema", '{"type": "strin"}', "strin"),
        ("json_schema", '{"type": "integer", "minimum": 5, "maximum": 3}', "Unsatisfiable"),
        ("json_schema", '{"not": {"type": "string"}}', "not"),
        ("json_schema", '{"$ref": "https://example.com/x.json"}', "not present"),
        ("json_schema", '{"$ref": "file:///etc/hostname"}', "not present"),
        ("json_schema", '{"a":' * 10_000 + "1" + "}" * 10_000, "recursion limit"),
        ("grammar", "start: nothing_of_that_name", "unknown name"),
        ("grammar", "root ::= " + "(" * 3000 + '"a"' + ")" * 3000, "not valid"),
        ("grammar", "start: " + "(" * 20_000 + '"a"' + ")" * 20_000, "nested"),
    ],
    ids=lambda value: value[:20],
)
def test_bad_constraint_is_the_callers_mistake_in_the_compilers_words(
    compiler: GrammarCompiler, kind: str, text: str, said: str
) -> None:
    with pytest.raises(BadRequest, match=said) as refused:
        compiler.prepare(Constraint(kind, text)).result(30)  # type: ignore[arg-type]
    assert len(refused.value.public) < 700


def test_schema_that_explodes_is_refused(compiler: GrammarCompiler) -> None:
    part = {"anyOf": [{"type": "object", "properties": {f"p{i}": {}}} for i in range(3)]}
    schema = json.dumps({"allOf": [part] * 30})
    with pytest.raises(BadRequest, match="too large"):
        compiler.prepare(Constraint("json_schema", schema)).result(60)


def test_constraint_that_costs_too_much_at_every_token_is_refused(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammars, "_SLOWEST_STEP_S", 0.0)
    with pytest.raises(BadRequest, match="too complex"):
        compiler.prepare(Constraint("regex", "(a|b)*")).result(30)
    monkeypatch.undo()
    compiler.prepare(Constraint("regex", "(c|d)*")).result(30)


def test_tokenizer_that_cannot_be_read_as_bytes_constrains_nothing() -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    compiler = GrammarCompiler(words.to_str(), 2)
    for _ in range(2):
        with pytest.raises(BadRequest, match="cannot be constrained"):
            compiler.prepare(Constraint("regex", "a")).result(30)
    compiler.close()


def test_defect_of_the_compiler_fails_the_request_and_not_the_thread(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> str:
        raise RuntimeError("a panic")

    monkeypatch.setitem(grammars._GRAMMARS, "regex", broken)
    for _ in range(4):
        assert isinstance(error_of(compiler.prepare(Constraint("regex", "a"))), InferenceFailed)
    compiler.prepare(Constraint("json_object")).result(30)


class Stuck:
    """A compiler that hangs on every regular expression until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.tries = 0

    def __call__(self, text: str) -> str:
        self.tries += 1
        self.let_go.wait(60)
        return grammars._grammar('start: "a"')


def test_constraint_that_takes_too_long_is_refused_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck = Stuck()
    monkeypatch.setitem(grammars._GRAMMARS, "regex", stuck)
    compiler = GrammarCompiler(tokenizer().to_str(), VOCABULARY, limit_s=0.2)
    evil = Constraint("regex", "evil")
    for _ in range(3):
        error = error_of(compiler.prepare(evil))
        assert isinstance(error, BadRequest)
        assert "to compile" in error.public
    assert stuck.tries == 1
    # The other thread still serves; with both stuck, new constraints are refused as busy.
    assert compiler.prepare(Constraint("json_object")).result(30).allowed().any()
    error_of(compiler.prepare(Constraint("regex", "worse")))
    assert isinstance(error_of(compiler.prepare(Constraint("json_object"))), QueueFull)
    stuck.let_go.set()
    compiler.close()
    for thread in compiler._threads:
        thread.join(30)
    assert isinstance(error_of(compiler.prepare(evil)), BadRequest), "the verdict stands"


def test_kept_grammars_are_bounded_the_least_used_go_first(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammars, "_MAX_KEPT", 3)
    for name in "abcadea":
        compiler.prepare(Constraint("regex", name)).result(30)
    assert [kept.text for kept in compiler._kept] == ["d", "e", "a"]


class Spends:
    """A CPU clock that says every look at it took a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_constraint_that_costs_more_than_the_model_ends_its_request(
    compiler: GrammarCompiler,
) -> None:
    constraint = Constraint("regex", "a*")
    compiler.prepare(constraint).result(30)
    kept = compiler._kept[constraint]
    assert not isinstance(kept, BadRequest)
    matcher = GrammarMatcher(kept.deep_copy(), VOCABULARY, VOCABULARY, Spends())
    [token] = np.flatnonzero(matcher.allowed())[:1]
    with pytest.raises(BadRequest, match="too complex"):
        matcher.accept(int(token))
