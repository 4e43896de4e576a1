"""What all tasks share that are asked about one text: its form, its tokens, what happens to long ones."""

from typing import ClassVar

from pydantic import Field
from typing_extensions import TypeVar

from models.blocks import TextPreprocessing
from models.bundle import Bundle
from models.errors import ManifestInvalid
from models.transforms.text import TextEncoder
from service.tasks.base import BatchTask, Prepared, TaskOptions
from service.tasks.examples import golden_item
from service.tasks.inputs import read_text

_EXAMPLE = "Hello, how are you?"


class TextOptions(TaskOptions):
    truncate: bool = Field(
        default=False, description="cut a text that is too long instead of refusing it"
    )


TextOptionsT = TypeVar("TextOptionsT", bound=TextOptions)


class TextTask(BatchTask[str, TextOptionsT]):
    """A subclass whose answer points into the text overrides `preprocess` to keep its offsets."""

    field: ClassVar[str] = "text"
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.preprocessing
        if not isinstance(block, TextPreprocessing):
            raise ManifestInvalid(f"{self.name} needs text preprocessing, not {block.kind}")
        self.block = block
        self.encoder = TextEncoder(bundle.read_text(block.tokenizer), block)

    def read_json(self, value: object) -> str:
        return read_text(value, self.field)

    def preprocess(self, instance: str, options: TextOptionsT) -> Prepared:
        return Prepared.one(self.encoder.encode(instance, truncate=options.truncate))

    def instance_schema(self) -> dict[str, object]:
        return {"type": "string", "description": f"text of at most {self.block.max_tokens} tokens"}

    def example(self) -> object:
        ids = golden_item(self.bundle).get(self.block.ids_input)
        if ids is None:
            return _EXAMPLE
        text: str = self.encoder.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
        return text.strip() or _EXAMPLE
