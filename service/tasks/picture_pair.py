"""What the tasks share that are asked about one picture or about two.

Two are `{"image": …, "<other>": …}`, which may also stand beside the options; in an upload the files are then
named so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from models.errors import InputError
from service.tasks.base import Item, OptionsT, Prepared
from service.tasks.picture import Picture, PictureTask


@dataclass(frozen=True)
class PicturePair:
    first: Picture
    second: Picture


class PicturePairTask(PictureTask[OptionsT]):
    """A subclass names the second picture in `other`, and in `parts`."""

    other: ClassVar[str]
    of_two: ClassVar[str]
    """What two pictures are for, e.g. "to compare"."""

    @override
    def read_json(self, value: object) -> Picture | PicturePair:  # type: ignore[override]
        if not isinstance(value, Mapping) or self.other not in value:
            return super().read_json(value)
        if set(value) != set(self.parts):
            raise InputError(
                f'two pictures are {{"image": …, "{self.other}": …}}, and nothing else'
            )
        first, second = (super(PicturePairTask, self).read_json(value[part]) for part in self.parts)
        return PicturePair(first, second)

    @override
    def read_files(self, files: Sequence[tuple[str, bytes]]) -> list[Picture | PicturePair]:  # type: ignore[override]
        names = [name for name, _ in files]
        if self.other not in names:
            return list(super().read_files(files))
        if sorted(names) != sorted(self.parts):
            raise InputError(
                f"files {self.of_two} are one called image and one called {self.other}"
            )
        pictures = dict(files)
        return [PicturePair(pictures["image"], pictures[self.other])]

    @override
    def is_heavy(self, instance: Picture | PicturePair) -> bool:
        if isinstance(instance, PicturePair):
            return super().is_heavy(instance.first) or super().is_heavy(instance.second)
        return super().is_heavy(instance)

    @override
    def preprocess(self, instance: Picture | PicturePair, options: OptionsT) -> Prepared:
        """An item for each picture."""
        if not isinstance(instance, PicturePair):
            return super().preprocess(instance, options)
        items: list[Item] = []
        for part, picture in zip(self.parts, (instance.first, instance.second), strict=True):
            try:
                items += super().preprocess(picture, options).items
            except InputError as error:
                raise type(error)(f"{part}: {error.message}") from error
        return Prepared(tuple(items))

    @override
    def instance_schema(self) -> dict[str, object]:
        picture = super().instance_schema()
        pair = {
            "type": "object",
            "properties": dict.fromkeys(self.parts, picture),
            "required": list(self.parts),
            "additionalProperties": False,
            "description": f"two pictures {self.of_two}",
        }
        return {"anyOf": [picture, pair]}
