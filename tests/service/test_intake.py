"""Request forms → instances and options, without a server around them."""

import asyncio

import pytest
from starlette.requests import Request

from models.errors import InputError
from service.errors import BadJson, BadRequest, UnsupportedMedia
from service.intake import content_type, from_instances, from_json, parse_json, read_typed
from service.tasks.tensor import TensorTask
from service.tasks.text_classification import TextClassification


def request(body: bytes, kind: str | None = None, query: bytes = b"") -> Request:
    headers = [] if kind is None else [(b"content-type", kind.encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    return Request({**scope, "headers": headers}, receive)


@pytest.fixture
def texts() -> TextClassification:
    return object.__new__(TextClassification)  # reading needs no bundle


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (None, "application/json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ("application/vnd.kserve+json", "application/json"),
        ('text/plain; format=flowed; charset="us-ascii"', "text/plain"),
        ("image/PNG", "image/png"),
    ],
)
def test_a_content_type_is_read_leniently(given: str | None, understood: str) -> None:
    assert content_type(request(b"", given)) == understood


def test_another_character_set_is_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="send UTF-8"):
        content_type(request(b"", "text/plain; charset=utf-16"))


def test_options_of_the_body_win_over_the_query(texts: TextClassification) -> None:
    asked = request(b'{"text": "a", "top_k": 1}', query=b"top_k=9&truncate=true")
    intake = asyncio.run(read_typed(asked, texts))
    assert intake.instances == ["a"]
    assert intake.options == {"top_k": 1, "truncate": "true"}


def test_a_repeated_query_member_is_a_list(texts: TextClassification) -> None:
    asked = request(b"hej", "text/plain", b"stop=a&stop=b")
    assert asyncio.run(read_typed(asked, texts)).options == {"stop": ["a", "b"]}


def test_one_or_many_by_the_tasks_own_field(texts: TextClassification) -> None:
    assert from_json({"text": "a"}, texts).instances == ["a"]
    assert from_json({"text": ["a", "b"]}, texts).instances == ["a", "b"]
    assert from_json({"instances": ["a", {"text": "b"}]}, texts).instances == ["a", "b"]


@pytest.mark.parametrize(
    "document", [[], None, {}, {"instances": "a"}, {"text": "a", "instances": ["b"]}]
)
def test_other_documents_are_refused(document: object, texts: TextClassification) -> None:
    with pytest.raises(BadRequest):
        from_json(document, texts)


def test_v1_admits_nothing_beside_instances_and_parameters(texts: TextClassification) -> None:
    intake = from_instances({"instances": ["a"], "parameters": {"top_k": 2}}, texts)
    assert intake.options == {"top_k": 2}
    with pytest.raises(BadRequest, match='options belong in "parameters"'):
        from_instances({"instances": ["a"], "top_k": 2}, texts)


def test_the_bad_instance_of_several_is_named(texts: TextClassification) -> None:
    with pytest.raises(InputError, match=r"^instance 1: text must be a string, not null"):
        from_instances({"instances": ["a", None]}, texts)
    with pytest.raises(InputError, match=r"^text must be a string"):
        from_instances({"instances": [None]}, texts)


def test_files_are_refused_where_a_task_takes_none() -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nz\r\n--x--\r\n'
    task = object.__new__(TensorTask)
    with pytest.raises(UnsupportedMedia, match="take JSON, not files"):
        asyncio.run(read_typed(request(body, "multipart/form-data; boundary=x"), task))


def test_broken_json_is_refused_with_the_position() -> None:
    with pytest.raises(BadJson, match="line 1 column"):
        parse_json(b'{"a": }')


def test_the_bad_file_of_an_upload_is_named_and_so_is_a_text_behind_it(
    texts: TextClassification,
) -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n"
    file, said = b'"f"; filename="a"', b'"text"'
    parts = (part % (file, b"fine"), part % (file, b"caf\xe9"), part % (said, b"fine"))
    with pytest.raises(InputError, match=r"^instance 1: the text is not UTF-8"):
        asyncio.run(
            read_typed(
                request(b"".join(parts) + b"--x--\r\n", "multipart/form-data; boundary=x"), texts
            )
        )
