"""The JSON of a request is taken strictly; what the short way lets pass, the long way would too."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadJson, BadRequest
from service.protocol.header import parse_header
from service.strict_json import loads

USUAL = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'


@pytest.mark.parametrize(
    "header",
    [
        USUAL,
        b'{"id":"a:b","inputs":[{"name":"x:y","shape":[1],"datatype":"BYTES","data":["::"]}]}',
        b'{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":true}}],"model_name":"m"}',
        b'{"parameters":{"a":1,"b":"c:d"},"inputs":[{"parameters":{"binary_data_size":4}}]}',
        b'{"mine":{"inputs":1},"inputs":[{"mine":{"a":[{"b":2}]}}]}',
        b"{}",
    ],
    ids=lambda header: header.decode()[:40],
)
def test_a_sound_header_is_what_the_parser_makes_of_it(header: bytes) -> None:
    assert parse_header(header) == orjson.loads(header)


@pytest.mark.parametrize(
    "header",
    [
        USUAL.replace(b'"data"', b'"name"'),
        USUAL[:-1] + b',"inputs":[]}',
        USUAL[:-1] + b',"outputs":[{"name":"y","name":"y"}]}',
        USUAL[:-1] + b',"parameters":{"timeout":1,"timeout":2}}',
        USUAL[:-1] + b',"parameters":{"a":":","a":""}}',
        USUAL[:-1] + b',"mine":{"a":[{"b":1,"b":2}]}}',
    ],
    ids=["tensor", "inputs", "output", "parameter", "colon in text", "somewhere else"],
)
def test_one_key_twice_is_refused_wherever_it_stands(header: bytes) -> None:
    with pytest.raises(BadJson, match="twice"):
        parse_header(header)


@pytest.mark.parametrize("where", ["document", "input", "output", "parameters", "model_name"])
@pytest.mark.parametrize("levels", [65, 1_000, 250_000])
def test_deep_nesting_is_refused_wherever_it_stands(where: str, levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    header = {
        "document": USUAL[:-1] + b',"mine":' + deep + b"}",
        "input": USUAL.replace(b"[1,2]}]", b'[1,2],"mine":' + deep + b"}]"),
        "output": USUAL[:-1] + b',"outputs":[{"data":' + deep + b"}]}",
        "parameters": USUAL[:-1] + b',"parameters":{"a":{"b":' + deep + b"}}}",
        "model_name": USUAL[:-1] + b',"model_name":' + deep + b"}",
    }[where]
    with pytest.raises(BadJson):
        parse_header(header)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'{"inputs": NaN}',
        b'{"inputs": -Infinity}',
        b'{"inputs": 1e400}',
        b'{"inputs": ' + b"1" * 5000 + b"}",
        b'{"id": "\\ud800"}',
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 01}',
    ],
    ids=["empty", "cut", "bom", "utf8", "nan", "inf", "1e400", "5000 digits", "surrogate", "two",
         "quotes", "zero"],
)  # fmt: skip
def test_what_is_not_json_is_said_to_be_none(header: bytes) -> None:
    with pytest.raises(BadJson):
        parse_header(header)


@pytest.mark.parametrize("header", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_json_that_is_no_object_is_a_bad_request(header: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_header(header)


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(':a"\\', max_size=4)
NAMES = st.sampled_from(["inputs", "outputs", "parameters", "id", "name", "data", "a:b"])


def documents() -> st.SearchStrategy[Any]:
    value = st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    )
    return st.dictionaries(NAMES, value, max_size=5)


@given(documents(), st.booleans())
def test_the_short_way_and_the_long_way_agree(document: dict[str, Any], repeats: bool) -> None:
    text = json.dumps(document)
    if repeats and document:
        text = text[:-1] + f", {json.dumps(next(iter(document)))}: 1}}"
    header = text.encode()
    try:
        expected = loads(header)
    except BadJson:
        with pytest.raises(BadJson):
            parse_header(header)
    else:
        assert parse_header(header) == expected
