"""What a kind of work must do to be served: read one instance, prepare it, and put its outcome in words.

An *instance* is one thing a caller asks about: a picture, a text, a prompt, an array. The flow
(`service.pipeline`) is the same for all kinds:

    read_json / read_bytes  →  preprocess  →  (batch and run)  →  postprocess

A plug-in is one subclass in one module, registered in `service.tasks`. It holds no request state and its
methods may be called from several threads at once. What prepares tensors and what prepares a generation
request differ in type only: BatchTask and GenerationTask below.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypeVar

from models.bundle import Bundle
from models.errors import InputError
from service.generation.request import GenerationEvent, GenerationRequest
from service.tasks.inputs import decode_text, read_each

Item = dict[str, np.ndarray]
"""One prepared input: graph input name → array without the batch axis."""

Row = dict[str, np.ndarray]
"""One item's outputs: graph output name → array without the batch axis."""


class Loop(ABC):
    """One instance's runs of the graph, where each is made of what the last one gave. `service.loops` runs
    it; a step is what a caller counts, and may be several runs."""

    is_heavy: bool = False
    """True when `take` would hold up the event loop."""

    steps: int
    step: int
    """Whole steps done so far."""

    @property
    def is_done(self) -> bool:
        return self.step == self.steps

    @abstractmethod
    def item(self) -> Item:
        """What the next run takes."""

    @abstractmethod
    def take(self, row: Row) -> None:
        """What that run gave. Raises InferenceFailed where nothing can be made of it."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """For postprocessing, once the loop is done."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One instance, ready to run: its items (windows of a long text, two pictures to compare) or its loop,
    and what postprocessing must know of it (the picture's own size, the text's character offsets)."""

    items: tuple[Item, ...]
    kept: Any = None
    loop: Loop | None = None

    @classmethod
    def one(cls, item: Item, kept: Any = None) -> "Prepared":
        return cls((item,), kept)


Answer = dict[str, object]
"""What the caller gets for one instance, ready for JSON."""


# Tokenizing a text of this length takes about as long as handing it to a thread.
_INLINE_CHARACTERS = 2_000


class TaskOptions(BaseModel):
    """How the caller wants the answer. Every field has a default, bounds and a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OptionInvalid(InputError):
    """An option is unknown or out of bounds; `option` is its name."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message)
        self.option = option


InstanceT = TypeVar("InstanceT", default=Any)
OptionsT = TypeVar("OptionsT", bound=TaskOptions, default=Any)


class ServiceTask(ABC, Generic[InstanceT, OptionsT]):
    """One loaded model's reading and writing. Construction may read files of the bundle."""

    name: ClassVar[str]
    field: ClassVar[str]
    """JSON member that carries an instance (or a list of them) in the typed endpoint."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Members of an instance that is an object. They may also stand beside the options: one instance."""

    media_types: ClassVar[tuple[str, ...]] = ()
    """Content types that may be sent as the raw body or as a file."""

    options: ClassVar[type[TaskOptions]]
    answer: ClassVar[type[BaseModel]]
    """Shape of one answer, for the OpenAPI document."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest

    def parse_options(self, given: Mapping[str, object]) -> OptionsT:
        """Validated options. Raises OptionInvalid naming the first wrong one and what is allowed."""
        try:
            return self.options.model_validate(dict(given))  # type: ignore[return-value]
        except ValidationError as error:
            raise _option_invalid(error, self.name, self.options) from error

    @abstractmethod
    def read_json(self, value: object) -> InstanceT:
        """An instance from its JSON form. Raises InputError (400) when the form is wrong."""

    def read_bytes(self, data: bytes) -> InstanceT:
        """An instance from a raw body or an uploaded file of one of `media_types`: UTF-8 text, unless a
        plug-in knows better. Raises InputError."""
        return self.read_json(decode_text(data, self.field))

    def read_files(self, files: Sequence[tuple[str, bytes]]) -> list[InstanceT]:
        """The instances of an upload; `files` are names of form fields and contents, in order. Raises
        InputError."""
        return read_each([data for _, data in files], self.read_bytes)

    def is_heavy(self, instance: InstanceT) -> bool:
        """True when preprocessing it would hold up the event loop longer than a hand-over to a thread."""
        return isinstance(instance, str) and len(instance) > _INLINE_CHARACTERS

    def split(self, value: object) -> list[object]:
        """The instances in the value of `field`: a list of texts or objects is many, anything else one."""
        if isinstance(value, list) and all(isinstance(part, str | dict) for part in value):
            return value
        return [value]

    @abstractmethod
    def instance_schema(self) -> dict[str, object]:
        """JSON Schema of one instance, with a description."""

    @abstractmethod
    def example(self) -> object:
        """An instance in JSON form that this very model answers sensibly."""

    @abstractmethod
    def preprocess(self, instance: InstanceT, options: OptionsT) -> Prepared | GenerationRequest:
        """Raises InputError and its kin: the instance cannot be turned into what the model takes."""

    def prepare_example(self) -> None:
        """Read and preprocess the example. Raises InputError when it does not work."""
        self.preprocess(self.read_json(self.example()), self.parse_options({}))


class BatchTask(ServiceTask[InstanceT, OptionsT]):
    """A task whose instances become tensors and are run in batches."""

    is_heavy_to_answer: ClassVar[bool] = False
    """True when postprocessing one row takes long enough to belong in a thread."""

    prepares_together: ClassVar[bool] = False
    """True when `preprocess_many` is quicker than one after the other; it is then called in a thread."""

    @abstractmethod
    def preprocess(self, instance: InstanceT, options: OptionsT) -> Prepared:
        """At least one item, or a loop (for all instances or none). Raises InputError and its kin."""

    def preprocess_many(self, instances: Sequence[InstanceT], options: OptionsT) -> list[Prepared]:
        """As `preprocess` of each, in order; the error need not name whose it is."""
        return [self.preprocess(instance, options) for instance in instances]

    @abstractmethod
    def postprocess(self, rows: Sequence[Row], prepared: Prepared, options: OptionsT) -> Answer:
        """`rows`: one per item of `prepared`, in order."""


class GenerationTask(ServiceTask[InstanceT, OptionsT]):
    """A task whose instances become generation requests, answered token by token."""

    @abstractmethod
    def preprocess(self, instance: InstanceT, options: OptionsT) -> GenerationRequest:
        """Raises TextTooLong too: the prompt does not fit."""

    @abstractmethod
    def new_reader(self, options: OptionsT) -> "TokenReader":
        """A fresh reader for one request's tokens."""

    @abstractmethod
    def postprocess(
        self, request: GenerationRequest, reader: "TokenReader", finish_reason: str
    ) -> Answer: ...


class TokenReader(ABC):
    """Turns one request's tokens into text as they come, and says when the caller has had enough."""

    token_count: int = 0
    last: GenerationEvent | None = None
    """The last event, once it is read: an encoder–decoder's has a score there."""

    @abstractmethod
    def feed(self, token_ids: tuple[int, ...]) -> str:
        """The text that is now certain; after it, `is_done` may have become true."""

    @abstractmethod
    def finish(self) -> str:
        """The text that was held back; call once, when no token will come."""

    @property
    @abstractmethod
    def text(self) -> str:
        """All text given out so far."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """True once a stop string has appeared: the rest of the generation is not wanted."""


def _option_invalid(error: ValidationError, task: str, options: type[TaskOptions]) -> OptionInvalid:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])[:64]
    if first["type"] == "extra_forbidden":
        known = ", ".join(options.model_fields) or "none"
        return OptionInvalid(f"option {name!r} is unknown; {task} models take: {known}", name)
    message = first["msg"]
    return OptionInvalid(f"option {name!r}: {message[0].lower()}{message[1:]}", name)
