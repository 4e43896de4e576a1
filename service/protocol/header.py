"""The JSON of an infer request, strictly: no repeated key, no nesting beyond reason.

Both checks look at every byte, which costs as much as parsing. So the usual request, which has nothing but
the protocol's own members, is recognised first: its members account for every colon in the text, and
whoever reads them checks how deep they are.
"""

import orjson

from service.errors import BadJson, BadRequest
from service.strict_json import check_depth, check_keys

_MEMBERS = frozenset({"id", "inputs", "outputs", "parameters"})
_OF_A_TENSOR = {
    "inputs": frozenset({"name", "shape", "datatype", "data", "parameters"}),
    "outputs": frozenset({"name", "parameters"}),
}


def parse_header(header: bytes) -> dict[str, object]:
    """Raises BadJson, BadRequest."""
    try:
        document = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        raise BadJson(f"the body is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadRequest('the body must be an object: {"inputs": […]}')
    if header.count(b":") != _usual_members(document):
        check_depth(header)
        check_keys(header, document)
    return document


def _usual_members(document: dict[str, object]) -> int:
    """How many colons the text has when no key is there twice; -1 for a document with other members."""
    if not document.keys() <= _MEMBERS:
        return -1
    count = len(document)
    for name, value in document.items():
        if name == "parameters" and isinstance(value, dict):
            count += len(value)
        elif isinstance(value, list) and (members := _OF_A_TENSOR.get(name)):
            for tensor in value:
                if not isinstance(tensor, dict) or not tensor.keys() <= members:
                    return -1
                count += len(tensor)
                if isinstance(given := tensor.get("parameters"), dict):
                    count += len(given)
    return count
