"""OpenAI's own client, unmodified, and rude callers, against a real server with a random decoder.

What the model writes means nothing; that it is the same text whichever way it is asked for means all.
"""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.service.bundles import CHAT_CONTEXT_TOKENS, chat_bundle
from tests.service.conftest import ServerProcess, running
from tests.service.real_bundles import decoder

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"far": {"type": "boolean"}},
            "required": ["far"],
            "additionalProperties": False,
        },
    },
}
VOCABULARY = 258


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("generation")
    chat_bundle(root / "repository", model=decoder(root, CHAT_CONTEXT_TOKENS, VOCABULARY))
    with running("--repository", str(root / "repository")) as started:
        yield started
        assert "Traceback" not in started.errors


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


def sample(server: ServerProcess, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics").text
    found = re.findall(rf'^slipway_{name}{{model="chat"[^}}]*}} (\S+)$', text, re.MULTILINE)
    return sum(map(float, found))


def text_of(client: openai.OpenAI, seed: int = 1, **more: Any) -> str:
    given: dict[str, Any] = {"max_tokens": 24, **more}
    done = client.chat.completions.create(model="chat", messages=HELLO, seed=seed, **given)
    return done.choices[0].message.content or ""


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat"]
    assert client.models.retrieve("chat").object == "model"
    with pytest.raises(openai.NotFoundError) as refusal:
        client.models.retrieve("gpt-5")
    assert refusal.value.code == "model_not_found"


def test_chat_whole_and_streamed_are_the_same_text(client: openai.OpenAI) -> None:
    given: dict[str, Any] = {"model": "chat", "messages": HELLO, "seed": 1, "max_tokens": 24}
    done = client.chat.completions.create(**given, logprobs=True, top_logprobs=2)
    (choice,) = done.choices
    assert choice.finish_reason in ("stop", "length")
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert done.usage is not None
    assert len(tokens) == done.usage.completion_tokens
    written = b"".join(bytes(token.bytes or []) for token in tokens)
    assert written.decode("utf-8", "replace") == choice.message.content
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    usage = {"include_usage": True}
    chunks = list(client.chat.completions.create(**given, stream=True, stream_options=usage))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == choice.message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == done.usage.completion_tokens


def test_chat_through_the_asynchronous_client(server: ServerProcess, client: openai.OpenAI) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x") as made:

            async def one(seed: int) -> str:
                stream = await made.chat.completions.create(
                    model="chat", messages=HELLO, seed=seed, max_tokens=24, stream=True
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream])

            return await asyncio.gather(*(one(seed) for seed in range(12)))

    assert asyncio.run(ask()) == [text_of(client, seed) for seed in range(12)]


def test_completions_of_every_form(client: openai.OpenAI) -> None:
    given: dict[str, Any] = {"model": "chat", "seed": 5, "max_tokens": 6}
    one = client.completions.create(prompt="ab", **given)
    ids = client.completions.create(prompt=[64, 65], **given)
    both = client.completions.create(prompt=["ab", "cd"], n=2, **given)
    assert one.choices[0].text == both.choices[0].text
    assert len(ids.choices[0].text) >= 1
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    streamed = client.completions.create(prompt="ab", stream=True, **given)
    assert "".join(c.choices[0].text for c in streamed) == one.choices[0].text


def test_a_prompts_likelihood_is_that_of_the_answer_it_was(client: openai.OpenAI) -> None:
    """Read as a prompt, the tokens that were written have the probabilities they were written with."""
    given: dict[str, Any] = {"model": "chat", "temperature": 0}
    done = client.completions.create(prompt=[64, 65, 66], max_tokens=5, logprobs=0, **given)
    written = done.choices[0].logprobs
    assert written is not None
    ids = [64, 65, 66]
    again = client.completions.create(prompt=ids, max_tokens=0, echo=True, logprobs=1, **given)
    found = again.choices[0].logprobs
    assert found is not None
    assert found.token_logprobs is not None
    assert found.token_logprobs[0] is None
    assert len(found.token_logprobs) == 3
    assert all(value is not None and value <= 0 for value in found.token_logprobs[1:])


def test_structured_outputs(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    text = text_of(client, response_format=form, max_tokens=64)
    assert json.loads(text)["a"] in (1, 2)
    for members, wanted in (
        ({"guided_regex": "[ab]{3}"}, "[ab]{3}"),
        ({"guided_choice": ["yes", 'no"']}, 'yes|no"'),
        ({"structured_outputs": {"grammar": 'start: "x" "y"'}}, "xy"),
    ):
        assert re.fullmatch(wanted, text_of(client, extra_body=members))


def test_a_demanded_call_is_a_call_whole_and_streamed(client: openai.OpenAI) -> None:
    given: dict[str, Any] = {"model": "chat", "messages": HELLO, "seed": 2, "max_tokens": 128}
    given |= {"tools": [TOOL], "tool_choice": "required"}
    done = client.chat.completions.create(**given).choices[0]
    assert done.finish_reason == "tool_calls"
    (call,) = done.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "look"
    assert isinstance(json.loads(call.function.arguments)["far"], bool)
    chunks = client.chat.completions.create(**given, stream=True)
    streamed = [
        c for chunk in chunks for c in (chunk.choices[0].delta.tool_calls or []) if c.function
    ]
    assert [c.function.arguments for c in streamed if c.function] == [call.function.arguments]


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"max_tokens": 10**9}, openai.BadRequestError),
        ({"max_tokens": -1}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
        ({"messages": [{"role": "king", "content": "x"}]}, openai.BadRequestError),
        ({"messages": [{"role": "user", "content": "a" * 600}]}, openai.BadRequestError),
        ({"messages": [{"role": "user", "content": "a" * 10_000_000}]}, openai.BadRequestError),
        ({"model": "nobody"}, openai.NotFoundError),
        ({"extra_body": {"guided_regex": "(((("}}, openai.BadRequestError),
        ({"extra_body": {"guided_json": {"type": "nonsense"}}}, openai.BadRequestError),
        ({"extra_body": {"guided_grammar": "start: nothing"}}, openai.BadRequestError),
        ({"extra_body": {"logit_bias": {"999": 1}}}, openai.BadRequestError),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_bad_input_is_the_callers_and_nobody_elses(
    client: openai.OpenAI,
    members: dict[str, Any],
    kind: type[openai.APIStatusError],
    is_streamed: bool,
) -> None:
    before = text_of(client)
    given: dict[str, Any] = {"model": "chat", "messages": HELLO, "max_tokens": 4, **members}
    with pytest.raises(kind) as refusal:
        client.chat.completions.create(**given, stream=is_streamed)
    assert refusal.value.type == "invalid_request_error"
    assert text_of(client) == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
def test_penalties_that_are_not_finite(http: httpx.Client, number: str) -> None:
    body = f'{{"model": "chat", "prompt": "a", "presence_penalty": {number}}}'
    answer = http.post("/v1/completions", content=body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_callers_that_leave_their_streams_leak_nothing(
    server: ServerProcess, client: openai.OpenAI
) -> None:
    before = text_of(client)
    body = json.dumps(
        {"model": "chat", "messages": HELLO, "max_tokens": 400, "stream": True, "ignore_eos": True}
    )
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    for start in range(0, 1000, 50):
        callers = [socket.create_connection((host, int(port))) for _ in range(50)]
        for number, caller in enumerate(callers):
            caller.sendall((head + body).encode())
            if (start + number) % 5 == 0:
                caller.recv(1)  # some have seen the beginning of their stream
            caller.close()
    assert text_of(client) == before
    assert sample(server, "streams_open") == 0
    assert sample(server, "in_flight_requests") == 0


def test_a_caller_that_does_not_read_costs_the_others_nothing(
    server: ServerProcess, client: openai.OpenAI
) -> None:
    before = text_of(client)
    body = json.dumps({"model": "chat", "messages": HELLO, "max_tokens": 400, "stream": True})
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        caller.connect((host, int(port)))
        caller.sendall((head + body).encode())
        assert [text_of(client) for _ in range(3)] == [before] * 3
    assert text_of(client) == before


def test_what_was_written_is_measured(server: ServerProcess, client: openai.OpenAI) -> None:
    names = ("generation_tokens_total", "prompt_tokens_total", "time_to_first_token_seconds_count")
    more = ("e2e_request_latency_seconds_count", "request_success_total")
    before = {name: sample(server, name) for name in (*names, *more)}
    text_of(client, max_tokens=3, extra_body={"ignore_eos": True})
    after = {name: sample(server, name) for name in before}
    assert after["generation_tokens_total"] == before["generation_tokens_total"] + 3
    assert after["prompt_tokens_total"] > before["prompt_tokens_total"]
    for name in (names[2], *more):
        assert after[name] == before[name] + 1


def test_triton_generate(http: httpx.Client) -> None:
    asked = {"text_input": "ab", "parameters": {"max_tokens": 5, "seed": 3}}
    whole = http.post("/v2/models/chat/generate", json=asked).json()
    streamed = http.post("/v2/models/chat/generate_stream", json=asked).text
    events = [json.loads(e.removeprefix("data: ")) for e in streamed.split("\n\n") if e]
    assert "".join(event["text_output"] for event in events) == whole["text_output"]


def test_a_stream_under_way_is_finished_when_the_server_is_told_to_end(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("ending")
    chat_bundle(root / "repository", model=decoder(root, CHAT_CONTEXT_TOKENS, VOCABULARY))
    asked = {"model": "chat", "messages": HELLO, "max_tokens": 400, "seed": 1}
    asked |= {"stream": True, "ignore_eos": True, "stream_options": {"include_usage": True}}
    with running("--repository", str(root / "repository")) as server, server.client() as caller:
        with caller.stream("POST", "/v1/chat/completions", json=asked) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            rest = [line for line in lines if line]
        assert server.wait() == 0
    assert rest[-1] == "data: [DONE]"
    assert json.loads(rest[-2].removeprefix("data: "))["usage"]["completion_tokens"] == 400
