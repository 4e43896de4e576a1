"""`slipway predict` as a person types it, and OpenAI's own client, against real models and a real server."""

import base64
import contextlib
import io
import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openai
import pytest
from PIL import Image

import slipway
from tests.service.real_bundles import publish_all

START_LIMIT_S = 60


@dataclass(frozen=True)
class Place:
    """Real tiny models, a server of its own that serves them, and a picture of a seven."""

    repository: Path
    url: str
    seven: Path


def _url_of(process: "subprocess.Popen[str]") -> str:
    """The address that the server announces; its further lines are read so that it never blocks."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    seen = []
    while line := lines.get(timeout=START_LIMIT_S):
        seen.append(line)
        if "serving" in line and (found := re.search(r"http://\S+:\d+", line)):
            return found.group()
    raise AssertionError(f"the server did not start: {seen}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    repository = folder / "repository"
    publish_all(repository, folder)
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0, :7] = 255
    Image.fromarray(pixels).save(folder / "seven.png")
    command = [sys.executable, "-m", "slipway", "serve", "--repository", str(repository)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--workers", "1", "--no-access-log"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Place(repository, _url_of(process), folder / "seven.png")
    finally:
        process.terminate()
        process.wait(timeout=60)
        assert process.stderr is not None
        process.stderr.close()


Printed = pytest.CaptureFixture[str]


def ask(place: Place, where: str, *arguments: str) -> int:
    here = ["--repository", str(place.repository)]
    there = ["--url", place.url]
    return slipway.main(["predict", *arguments, *(there if where == "server" else here)])


EVERYWHERE = pytest.mark.parametrize("where", ["here", "server"])


@EVERYWHERE
def test_a_picture_is_named(place: Place, where: str, capsys: Printed) -> None:
    assert ask(place, where, "digits", str(place.seven), "--top-k", "2") == 0
    first, best, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"digits/1  \d+\.\d ms", first)
    assert re.match(r"  7 +9\d\.\d%  █+", best)
    assert second.startswith("  ")


@EVERYWHERE
def test_a_text_is_named_and_json_is_the_raw_answer(
    place: Place, where: str, capsys: Printed
) -> None:
    assert ask(place, where, "language-id", "ab", "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["model_name"], body["model_version"]) == ("language-id", "1")
    assert body["predictions"][0]["label"] == "sv"


@EVERYWHERE
def test_a_prompt_is_continued_alike_for_a_seed(place: Place, where: str, capsys: Printed) -> None:
    printed = []
    for _ in range(2):
        assert ask(place, where, "writer", "def", "--seed", "4", "--max-tokens", "12") == 0
        printed.append(capsys.readouterr().out.split("\n", 1)[1])
    assert printed[0] == printed[1]
    assert "12 tokens after 3" in printed[0]


def test_here_and_on_the_server_the_answer_is_the_same(place: Place, capsys: Printed) -> None:
    for question in (
        ("digits", str(place.seven)),
        ("language-id", "a"),
        ("writer", "x = ", "--seed", "2"),
        ("painter", "4", "--seed", "9"),
        ("double", "[1, 2.5, -3]"),
    ):
        answers = []
        for where in ("here", "server"):
            assert ask(place, where, *question, "--json") == 0
            answers.append(json.loads(capsys.readouterr().out)["predictions"])
        assert answers[0] == answers[1], question


@EVERYWHERE
def test_a_picture_is_drawn_into_the_file_named(
    place: Place, where: str, tmp_path: Path, capsys: Printed
) -> None:
    target = tmp_path / "four.png"
    arguments = ("painter", "4", "--seed", "1", "--size", "64x64", "--output", str(target))
    assert ask(place, where, *arguments) == 0
    assert f"wrote {target} (64×64 pixels, seed 1)" in capsys.readouterr().out
    with Image.open(target) as picture:
        assert picture.size == (64, 64)


@EVERYWHERE
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nobody", "x"], 1, "there is no model 'nobody'"),
        (["digits", "nothere.png"], 2, "nothere.png does not exist"),
        (["digits", __file__], 1, "not a picture that can be read"),
        (["language-id", "a" * 50], 1, "more than 32 tokens"),
        (["language-id", ""], 1, "empty"),
        (["language-id", "a", "--top-k", "0"], 1, "option 'top_k'"),
        (["language-id", "a", "--option", "foo=1"], 1, "option 'foo' is unknown"),
        (["language-id", "a", "--version", "9"], 1, "has no version 9"),
        (["language-id", "a", "--version", "x"], 2, "not a version number"),
        (["../etc", "a"], 2, "is not allowed"),
        (["writer", "a", "--max-tokens", "1000"], 1, "do not fit"),
        (["painter", "ten"], 1, "must be the name of a class"),
        (["double", "[1]"], 1, "does not fit"),
        (["double", "one"], 2, "take JSON numbers"),
        (["digits"], 2, "required: INPUT"),
    ],
)
def test_mistakes_are_one_clear_line(
    place: Place, where: str, arguments: list[str], code: int, message: str, capsys: Printed
) -> None:
    assert ask(place, where, *arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("http://127.0.0.1:1", 1, "cannot be reached"),
        ("ftp://example", 2, "write http://HOST:PORT"),
        ("file:///etc/passwd", 2, "write http://HOST:PORT"),
        ("localhost", 2, "write http://HOST:PORT"),
    ],
)
def test_a_server_that_is_not_there_is_one_clear_line(
    url: str, code: int, message: str, capsys: Printed
) -> None:
    assert slipway.main(["predict", "digits", "x", "--url", url]) == code
    assert message in capsys.readouterr().err


def test_a_repository_that_is_not_there_is_one_clear_line(tmp_path: Path, capsys: Printed) -> None:
    missing = tmp_path / "nowhere"
    assert slipway.main(["predict", "digits", "x", "--repository", str(missing)]) == 1
    assert f"there is no model repository at {missing}" in capsys.readouterr().err


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[openai.OpenAI]:
    with contextlib.closing(
        openai.OpenAI(base_url=f"{place.url}/v1", api_key="none", max_retries=0)
    ) as made:
        yield made


def test_openais_client_lists_and_describes_models(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert names == {"digits", "language-id", "painter", "writer", "double"}
    assert client.models.retrieve("writer").owned_by == "slipway"
    with pytest.raises(openai.NotFoundError, match="there is no model 'nobody'"):
        client.models.retrieve("nobody")


def test_openais_client_completes(client: openai.OpenAI) -> None:
    done = client.completions.create(
        model="writer", prompt=["def", "x ="], max_tokens=8, temperature=0, n=2, echo=True
    )
    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    assert done.choices[0].text == done.choices[1].text  # greedy
    assert done.choices[2].text.startswith("x =")
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (6, 32)


def test_openais_client_gets_the_same_answer_for_a_seed(client: openai.OpenAI) -> None:
    def text(seed: int) -> str:
        done = client.completions.create(model="writer", prompt="def", seed=seed)
        return done.choices[0].text

    assert text(1) == text(1) != text(2)


def test_openais_client_draws(client: openai.OpenAI) -> None:
    drawn = client.images.generate(model="painter", prompt="6", n=2, response_format="b64_json")
    assert drawn.data is not None
    for one in drawn.data:
        picture = Image.open(io.BytesIO(base64.b64decode(one.b64_json or "")))
        assert picture.size == (32, 32)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"suffix": "y"}, openai.BadRequestError),
        ({"temperature": 5}, openai.BadRequestError),
        ({"max_tokens": 10_000}, openai.BadRequestError),
        ({"logprobs": 2_000}, openai.BadRequestError),
        ({"model": "nobody"}, openai.NotFoundError),
    ],
)
def test_openais_client_understands_refusals(
    client: openai.OpenAI, members: dict[str, object], kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        client.completions.create(**{"model": "writer", "prompt": "x", **members})  # type: ignore[call-overload]
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.request_id
