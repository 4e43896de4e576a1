"""Whole answers of a real engine with random weights, under every kind of constraint."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.bundle import Bundle
from models.manifest import Batching, ManifestDraft
from models.publish import publish
from service.generation.host import GenerationHost
from service.generation.request import Constraint
from tests.service.generation.conftest import request
from tests.service.generation.test_grammars import TEXTS
from tests.service.generation.test_host import Mailbox
from training.data.byte_tokenizer import END_OF_TEXT_ID, train_tokenizer
from training.export import export
from training.networks.decoder import Decoder, DecoderConfig
from training.networks.slot_plan import first_prompts, slot_inputs, slot_outputs, slot_plan

CONTEXT = 256
TOKENIZER = train_tokenizer(TEXTS * 3, 300)
VOCABULARY = 320  # a padded head

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        "ok": {"type": ["boolean", "null"]},
    },
    "required": ["name", "age", "ok"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    torch.manual_seed(11)
    config = DecoderConfig(context=CONTEXT, width=32, layers=1, heads=2, kv_heads=1, hidden=32)
    decoder = Decoder(config, VOCABULARY).eval()
    folder = tmp_path_factory.mktemp("constrained")
    staged = folder / "staged"
    staged.mkdir()
    example = np.random.default_rng(0).integers(0, VOCABULARY, (2, 9))
    export(
        slot_plan(decoder, lengths=(4, 9)), first_prompts(example, config), staged / "model.onnx"
    )
    (staged / "tokenizer.json").write_text(TOKENIZER.to_str())
    draft = ManifestDraft(
        name="constrained",
        task="text-generation",
        runner="generation",
        inputs=slot_inputs(config),
        outputs=slot_outputs(config, VOCABULARY),
        preprocessing=PromptPreprocessing(context_tokens=CONTEXT),
        postprocessing=GenerationPostprocessing(stop_token_ids=(END_OF_TEXT_ID,)),
        batching=Batching(max_batch_size=8),
    )
    return publish(folder / "repository", draft, staged)


@pytest.fixture(scope="module")
def host(bundle: Bundle) -> Iterator[GenerationHost]:
    host = GenerationHost(bundle)
    yield host
    host.close()


def answers(host: GenerationHost, count: int, **sampling: object) -> list[tuple[str, str]]:
    """(text, finish reason) of that many seeds, answered together."""
    box = Mailbox()
    for seed in range(count):
        wanted = {"temperature": 1.3, "max_tokens": 120, "seed": seed} | sampling
        host.submit(seed, request([1, 2, 3], **wanted).to_json(), box)
    box.wait(count)
    return [
        (TOKENIZER.decode(box.tokens(seed), skip_special_tokens=False), str(box.reason(seed)))
        for seed in range(count)
    ]


def is_person(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= PERSON["properties"].keys()  # type: ignore[attr-defined]
        and isinstance(value["name"], str)
        and len(value["name"]) <= 8
        and type(value["age"]) is int
        and 0 <= value["age"] <= 130
        and value["ok"] in (True, False, None)
        and type(value["ok"]) is not int
        and all(tag in ("a", "b") for tag in value.get("tags", []))
        and len(value.get("tags", [])) <= 3
    )


def test_finished_answers_are_instances_of_the_schema(host: GenerationHost) -> None:
    constraint = Constraint("json_schema", json.dumps(PERSON))
    found = answers(host, 40, constraint=constraint)
    finished = [json.loads(text) for text, reason in found if reason == "stop"]
    assert {reason for _, reason in found} <= {"stop", "length"}
    assert len(finished) > 20
    assert all(is_person(value) for value in finished)
    assert len({json.dumps(value) for value in finished}) > 20


def random_schema(rng: np.random.Generator, depth: int) -> dict[str, Any]:
    kind = rng.choice(["integer", "string", "enum", "boolean", "array", "object"][: 4 + 2 * depth])
    if kind == "integer":
        low = int(rng.integers(-50, 50))
        return {"type": "integer", "minimum": low, "maximum": low + int(rng.integers(1, 500))}
    if kind == "string":
        return {"type": "string", "maxLength": int(rng.integers(1, 6))}
    if kind == "enum":
        return {"enum": ["fox", 7, None, "the quick"][: int(rng.integers(1, 5))]}
    if kind == "boolean":
        return {"type": ["boolean", "null"]}
    if kind == "array":
        bounds = {"minItems": int(rng.integers(0, 2)), "maxItems": int(rng.integers(2, 4))}
        return {"type": "array", "items": random_schema(rng, depth - 1)} | bounds
    properties = {name: random_schema(rng, depth - 1) for name in ("a", "b", "c")}
    required = list(rng.permutation(["a", "b", "c"])[: int(rng.integers(0, 4))])
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """JSON Schema, as much of it as `random_schema` uses."""
    if "enum" in schema:
        return any(value == wanted and type(value) is type(wanted) for wanted in schema["enum"])
    match schema["type"]:
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            return isinstance(value, str) and len(value) <= schema["maxLength"]
        case "array":
            right_size = isinstance(value, list) and (
                schema["minItems"] <= len(value) <= schema["maxItems"]
            )
            return right_size and all(conforms(item, schema["items"]) for item in value)
        case "object":
            return (
                isinstance(value, dict)
                and set(schema["required"]) <= value.keys()
                and value.keys() <= schema["properties"].keys()
                and all(conforms(item, schema["properties"][key]) for key, item in value.items())
            )
        case _:
            return value is None or isinstance(value, bool)


def test_finished_answers_conform_to_random_schemas(host: GenerationHost) -> None:
    rng = np.random.default_rng(5)
    schemas = [random_schema(rng, 2) for _ in range(60)]
    box = Mailbox()
    for index, schema in enumerate(schemas):
        constraint = Constraint("json_schema", json.dumps(schema))
        wanted = request([index], max_tokens=150, seed=index, constraint=constraint)
        host.submit(index, wanted.to_json(), box)
    box.wait(len(schemas))
    finished = [index for index in range(len(schemas)) if box.reason(index) == "stop"]
    assert len(finished) > 45
    for index in finished:
        value = json.loads(TOKENIZER.decode(box.tokens(index), skip_special_tokens=False))
        assert conforms(value, schemas[index]), (value, schemas[index])


def test_finished_answers_are_json_objects(host: GenerationHost) -> None:
    found = answers(host, 30, constraint=Constraint("json_object"))
    finished = [json.loads(text) for text, reason in found if reason == "stop"]
    assert finished
    assert all(isinstance(value, dict) for value in finished)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 3.0])
def test_finished_answers_match_the_expression_and_others_begin_like_it(
    host: GenerationHost, temperature: float
) -> None:
    expression = r"[A-C]{2,9}-[0-9]{3}( fox| brown){1,4}"
    constraint = Constraint("regex", expression)
    found = answers(host, 25, constraint=constraint, temperature=temperature)
    assert all(re.fullmatch(expression, text) for text, reason in found if reason == "stop")
    assert any(reason == "stop" for _, reason in found)
    begun = r"[A-C]{0,9}|[A-C]{2,9}-[0-9]{0,3}|[A-C]{2,9}-[0-9]{3}( fox| brown){0,4}( \w{0,4})?"
    for text, reason in answers(host, 25, constraint=constraint, max_tokens=6):
        assert reason in ("stop", "length")
        assert re.fullmatch(begun, text), text


def test_grammar_derives_every_finished_answer(host: GenerationHost) -> None:
    grammar = 'start: "(" start ")" | "x" | start "+" "x"'
    found = answers(host, 25, constraint=Constraint("grammar", grammar))
    finished = [text for text, reason in found if reason == "stop"]
    assert finished
    for text in finished:
        assert set(text) <= set("()x+")
        eval(text, {"x": 1})  # balanced, and every sum has both sides


def test_constraint_beats_bias_and_penalties(host: GenerationHost) -> None:
    [zero] = TOKENIZER.encode("0").ids
    found = answers(
        host,
        10,
        constraint=Constraint("regex", "[1-9]{5}"),
        logit_bias=((zero, 100.0), (END_OF_TEXT_ID, 100.0)),
        repetition_penalty=3.0,
        frequency_penalty=2.0,
    )
    assert all(re.fullmatch("[1-9]{5}", text) and reason == "stop" for text, reason in found)


def test_bias_decides_among_what_the_constraint_allows(host: GenerationHost) -> None:
    [seven] = TOKENIZER.encode("7").ids
    bias = ((seven, 100.0),)
    found = answers(host, 5, constraint=Constraint("regex", "[1-9]{5}"), logit_bias=bias)
    assert found == [("77777", "stop")] * 5


def test_answer_of_a_constraint_that_may_go_on_is_as_long_as_min_tokens_asks(
    host: GenerationHost,
) -> None:
    found = answers(
        host, 8, constraint=Constraint("regex", "a*"), min_tokens=6, logit_bias=((0, 100.0),)
    )
    # The end, which the bias makes certain, comes at the first place where it may.
    assert all(reason == "stop" and set(text) == {"a"} for text, reason in found)
    assert all(len(TOKENIZER.encode(text).ids) <= 7 for text, _ in found)
    assert all(len(text) >= 6 for text, _ in found)


def test_complete_answer_ends_before_min_tokens(host: GenerationHost) -> None:
    found = answers(host, 5, constraint=Constraint("regex", "(ab|ba)"), min_tokens=50)
    assert all(text in ("ab", "ba") and reason == "stop" for text, reason in found)


@pytest.mark.parametrize("ignore_stop", [True, False])
def test_complete_answer_ends_without_a_stop_token(host: GenerationHost, ignore_stop: bool) -> None:
    constraint = Constraint("regex", "x[yz]{3}")
    for text, reason in answers(host, 5, constraint=constraint, ignore_stop=ignore_stop):
        assert re.fullmatch("x[yz]{3}", text)
        assert reason == "stop"


def test_stop_token_of_the_request_ends_only_whole_answers(host: GenerationHost) -> None:
    [letter] = TOKENIZER.encode("b").ids
    found = answers(
        host, 12, constraint=Constraint("regex", "(ab){1,40}|c{2,9}"), stop_token_ids=(letter,)
    )
    assert {reason for _, reason in found} <= {"stop", "error"}
    assert all(re.fullmatch("c{2,9}", text) for text, reason in found if reason == "stop")


def test_bad_constraint_is_told_and_its_neighbours_go_on(host: GenerationHost) -> None:
    box = Mailbox()
    host.submit(1, request([1], max_tokens=20, seed=0).to_json(), box)
    host.submit(2, request([1], constraint=Constraint("regex", "(a")).to_json(), box)
    box.wait(2)
    assert box.reason(1) in ("length", "stop")
    [event] = box.events[2]
    assert (event.finish_reason, event.code) == ("error", "bad_request")
    assert "unclosed group" in str(event.error)


def test_request_that_is_cancelled_while_its_constraint_compiles_never_runs(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.generation import grammars
    from tests.service.generation.test_grammars import Stuck

    stuck = Stuck()
    monkeypatch.setitem(grammars._GRAMMARS, "regex", stuck)
    host, box = GenerationHost(bundle), Mailbox()
    host.submit(1, request([1], constraint=Constraint("regex", "a")).to_json(), box)
    host.cancel(1)
    assert box.wait(1) == [1]
    host.submit(2, request([1], constraint=Constraint("regex", "b")).to_json(), box)
    host.close()
    stuck.let_go.set()
    assert [box.reason(name) for name in (1, 2)] == ["cancelled", "cancelled"]
    assert [len(box.events[name]) for name in (1, 2)] == [1, 1]


def test_constrained_answers_are_those_of_the_request_alone(host: GenerationHost) -> None:
    constraint = Constraint("json_schema", json.dumps(PERSON))
    together = answers(host, 12, constraint=constraint, repetition_penalty=1.2)
    box = Mailbox()
    for seed in range(12):
        wanted = request(
            [1, 2, 3],
            temperature=1.3,
            max_tokens=120,
            seed=seed,
            constraint=constraint,
            repetition_penalty=1.2,
        )
        host.submit(seed, wanted.to_json(), box)
        box.wait(1)
        text = TOKENIZER.decode(box.tokens(seed), skip_special_tokens=False)
        assert (text, box.reason(seed)) == together[seed]
