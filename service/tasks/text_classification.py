"""Text classification: a text → labels with scores."""

from typing import ClassVar

from pydantic import Field

from models.blocks import TextPreprocessing
from models.bundle import Bundle
from models.errors import ManifestInvalid
from models.transforms.text import TextEncoder
from service.tasks.base import Item, TaskOptions
from service.tasks.classification import ClassificationOptions, ClassificationTask
from service.tasks.examples import golden_item
from service.tasks.inputs import read_text


class TextClassificationOptions(ClassificationOptions):
    truncate: bool = Field(
        default=False, description="cut a text that is too long instead of refusing it"
    )


class TextClassification(ClassificationTask[str]):
    name: ClassVar[str] = "text-classification"
    field: ClassVar[str] = "text"
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)
    options: ClassVar[type[TaskOptions]] = TextClassificationOptions

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.preprocessing
        if not isinstance(block, TextPreprocessing):
            raise ManifestInvalid(f"{self.name} needs text preprocessing, not {block.kind}")
        self.block = block
        self._encoder = TextEncoder(bundle.read_text(block.tokenizer), block)

    def read_json(self, value: object) -> str:
        return read_text(value, self.field)

    def preprocess(self, instance: str, options: ClassificationOptions) -> Item:
        truncate = isinstance(options, TextClassificationOptions) and options.truncate
        return self._encoder.encode(instance, truncate=truncate)

    def instance_schema(self) -> dict[str, object]:
        return {"type": "string", "description": f"text of at most {self.block.max_tokens} tokens"}

    def example(self) -> object:
        ids = golden_item(self.bundle).get(self.block.ids_input)
        if ids is None:
            return "Hello, how are you?"
        text: str = self._encoder.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
        return text.strip() or "Hello, how are you?"
