"""Requests as the server gets them: lengths, seeds, files of prompts, chats."""

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from models.errors import UsageError
from service.ask.call import RemoteRefused
from service.bench.asking import CHAT, COMPLETIONS, Generation, Lengths, read_prompts
from service.bench.target import Target
from tests.service.bench.fake_server import FakeServer, running


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running(FakeServer()) as server:
        yield server


def _generation(**more: object) -> Generation:
    lengths = {"prompt_tokens": Lengths(20, 20), "output_tokens": Lengths(5, 9)}
    return Generation("m", **{**lengths, **more})  # type: ignore[arg-type]


def _bodies(messages: Iterator[bytes], count: int) -> list[dict[str, object]]:
    return [json.loads(message.partition(b"\r\n\r\n")[2]) for message in islice(messages, count)]


def test_made_up_prompts_have_the_length_in_the_servers_own_tokens(fake: FakeServer) -> None:
    target = Target("127.0.0.1", fake.port)
    bodies = _bodies(_generation().messages(target, []), 20)
    # The fake counts two tokens to a word, and was asked about it once.
    assert {len(str(body["prompt"]).split()) for body in bodies} == {10}
    assert len(fake.asked) == 1
    assert {body["max_tokens"] for body in bodies} <= set(range(5, 10))
    assert len({body["prompt"] for body in bodies}) == 20
    first = bodies[0]
    assert first["model"] == "m"
    assert first["stream"] is first["ignore_eos"] is True
    assert first["stream_options"] == {"include_usage": True}


def test_the_same_seed_asks_the_same(fake: FakeServer) -> None:
    target = Target("127.0.0.1", fake.port)
    one, same, other = (
        _bodies(_generation(seed=seed).messages(target, []), 3) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_given_prompts_are_sent_in_turn_with_their_own_members(fake: FakeServer) -> None:
    given: list[dict[str, object]] = [{"prompt": "a", "max_tokens": 3}, {"prompt": "b", "seed": 1}]
    bodies = _bodies(_generation(may_stop=True).messages(Target("127.0.0.1", fake.port), given), 3)
    assert [body["prompt"] for body in bodies] == ["a", "b", "a"]
    assert bodies[0]["max_tokens"] == 3
    assert bodies[1]["seed"] == 1
    assert "ignore_eos" not in bodies[0]


def test_a_prompt_becomes_a_message_of_a_chat() -> None:
    path, body = _generation(is_chat=True).request({"prompt": "hi"}, 4)
    assert path == CHAT
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert "prompt" not in body
    assert _generation().request({"messages": []}, 4)[0] == CHAT
    assert _generation().request({"prompt": "hi"}, 4)[0] == COMPLETIONS


def test_what_the_server_refuses_is_said_in_its_own_words() -> None:
    with (
        running(FakeServer(status=404, code="model_not_found")) as fake,
        pytest.raises(RemoteRefused, match="404: try later"),
    ):
        _generation().messages(Target("127.0.0.1", fake.port), [])


@pytest.mark.parametrize("typed", ["0", "-3", "9-3", "x", "", "3-", "1-2-3", "1.5"])
def test_nonsense_lengths_are_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="--prompt-tokens"):
        Lengths.parse(typed, "--prompt-tokens")


def test_lengths_are_drawn_from_both_ends_inclusive() -> None:
    dice = random.Random(0)
    assert {Lengths.parse("3-5", "-x").draw(dice) for _ in range(100)} == {3, 4, 5}
    assert Lengths.parse("7", "-x") == Lengths(7, 7)


def test_prompts_are_read_as_text_and_as_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "prompts"
    file.write_text(
        'plain text\n\n{"prompt": "p", "max_tokens": 2, "model": "x"}\n{"messages": []}\n'
    )
    assert read_prompts(file) == [
        {"prompt": "plain text"},
        {"prompt": "p", "max_tokens": 2},
        {"messages": []},
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no prompts"),
        ("ok\n{oops\n", "prompts:2"),
        ('{"max_tokens": 3}\n', "prompts:1"),
        ('{"prompt": "a", "messages": []}\n', "either"),
    ],
)
def test_bad_files_are_refused_with_their_line(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "prompts").write_text(text)
    with pytest.raises(UsageError, match=match):
        read_prompts(tmp_path / "prompts")
    with pytest.raises(UsageError, match="cannot be read"):
        read_prompts(tmp_path / "missing")
