"""`--set key=value`: changes to a recipe's configuration, checked against its types.

Used by the command line before a run begins; raises UsageError naming the key, the value and what
was expected. Keys are dotted paths (`optim.learning_rate`). Values are read as the field's type;
lists as comma-separated values or JSON; `none` where a field may be absent. What identifies a run
(recipe, task) cannot be set.
"""

import difflib
import json
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from models.errors import UsageError
from training.config import ConfigT

_FIXED = frozenset({"recipe", "task"})
_WORDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "none",
}


def with_settings(config: ConfigT, settings: Sequence[str]) -> ConfigT:
    """`config` with every `key=value` applied. Raises UsageError, also for a key given twice."""
    document = config.model_dump()
    seen: set[str] = set()
    for setting in settings:
        key, value = _split(setting)
        if key in seen:
            raise UsageError(f"{key} is set more than once: give it one value")
        seen.add(key)
        field = _field(type(config), key, config.recipe)
        _put(document, key, _parse(key, value, field))
    try:
        return type(config).model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the settings together"
        raise UsageError(f"--set: {where}: {first['msg']}") from error


def settable(config: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key that `--set` accepts, with its field, in declaration order."""
    for name, field in config.model_fields.items():
        if not prefix and name in _FIXED:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settable(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def expected(field: FieldInfo) -> str:
    """A field's type and bounds in words, e.g. `a number > 0`."""
    bounds = [
        f"{sign} {getattr(rule, attribute)}"
        for rule in field.metadata
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if hasattr(rule, attribute)
    ]
    pattern = [f"matching {rule.pattern}" for rule in field.metadata if hasattr(rule, "pattern")]
    words = [_type_in_words(field.annotation), " and ".join(bounds), *pattern]
    return " ".join(word for word in words if word)


def _split(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {setting!r}: expected key=value, e.g. optim.learning_rate=0.001")
    return key.strip(), value.strip()


def _field(config: type[BaseModel], key: str, recipe: str) -> FieldInfo:
    known = dict(settable(config))
    if key in known:
        return known[key]
    if key in _FIXED:
        raise UsageError(f"--set {key}: fixed by the recipe; choose another recipe instead")
    members = [name for name in known if name.startswith(f"{key}.")]
    if members:
        raise UsageError(f"--set {key}: is a group; set one of {', '.join(members)}")
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
    raise UsageError(f"--set {key}: recipe {recipe!r} has no such setting; {hint}")


def _parse(key: str, value: str, field: FieldInfo) -> Any:
    # Annotated needs the constraints back: FieldInfo splits them from the annotation.
    adapter: TypeAdapter[Any] = TypeAdapter(_annotated(field))
    for candidate in _readings(value, field.annotation):
        try:
            return adapter.validate_python(candidate)
        except ValidationError:
            continue
    about = f" ({field.description})" if field.description else ""
    raise UsageError(f"--set {key}={value}: expected {expected(field)}{about}")


def _annotated(field: FieldInfo) -> Any:
    return Annotated[field.annotation, field]


def _readings(value: str, annotation: Any) -> Iterator[object]:
    """What a typed text may mean, likeliest first; the field's type decides."""
    if value.lower() == "none" and type(None) in get_args(annotation):
        yield None
        return
    if _is_list(annotation):
        if value.startswith(("[", "{")):
            yield _json_or_text(value)
        else:
            yield [part.strip() for part in value.split(",") if part.strip()]
        return
    yield value
    yield _json_or_text(value)


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _is_list(annotation: Any) -> bool:
    options = get_args(annotation) if _is_union(annotation) else (annotation,)
    return any(get_origin(option) in (tuple, list) for option in options)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _type_in_words(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(option) for option in get_args(annotation))
    if _is_union(annotation):
        return " or ".join(_type_in_words(option) for option in get_args(annotation))
    if _is_list(annotation):
        return f"comma-separated values, each {_type_in_words(get_args(annotation)[0])}"
    return str(getattr(annotation, "__name__", annotation))


def _put(document: dict[str, Any], key: str, value: object) -> None:
    *groups, last = key.split(".")
    for group in groups:
        document = document[group]
    document[last] = value
