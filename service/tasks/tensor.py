"""Bare graphs: numbers in, numbers out, for models whose manifest gives the values no meaning."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, RootModel
from typing_extensions import override

from models.datatypes import BY_ONNX, DataType, float32_of
from models.errors import InputError
from models.manifest import TensorSpec
from service.tasks.base import Answer, BatchTask, Item, Prepared, Row, TaskOptions
from service.tasks.examples import golden_item, made_up_item
from service.tasks.inputs import item_shape, read_tensor


class TensorAnswer(RootModel[dict[str, object]]):
    """Graph output name → nested lists."""


class TensorTask(BatchTask[Item, TaskOptions]):
    """An instance is the array of the only input, or an object of arrays by input name."""

    name: ClassVar[str] = "tensor"
    field: ClassVar[str] = "inputs"
    options: ClassVar[type[TaskOptions]] = TaskOptions
    answer: ClassVar[type[BaseModel]] = TensorAnswer

    @cached_property
    def _bfloat16(self) -> frozenset[str]:
        """Outputs that come as words, not as numbers."""
        outputs = self.manifest.outputs
        return frozenset(spec.name for spec in outputs if spec.dtype is DataType.BFLOAT16)

    def read_json(self, value: object) -> Item:
        specs = self.manifest.inputs
        if not isinstance(value, Mapping):
            if len(specs) > 1:
                names = ", ".join(spec.name for spec in specs)
                raise InputError(f"an instance must be an object with the inputs: {names}")
            value = {specs[0].name: value}
        wanted = [spec.name for spec in specs]
        odd = [name for name in wanted if name not in value]
        odd += [name for name in value if name not in wanted]
        if odd:
            raise InputError(f"an instance must have exactly the inputs {wanted}; see {odd[0]!r}")
        return {spec.name: read_tensor(value[spec.name], spec) for spec in specs}

    @override
    def split(self, value: object) -> list[object]:
        return [value]  # a list of strings may well be one instance

    @override
    def preprocess(self, instance: Item, options: TaskOptions) -> Prepared:
        return Prepared.one(instance)

    @override
    def postprocess(self, rows: Sequence[Row], prepared: Prepared, options: TaskOptions) -> Answer:
        return {
            name: _to_lists(float32_of(array) if name in self._bfloat16 else array)
            for name, array in rows[0].items()
        }

    def instance_schema(self) -> dict[str, object]:
        properties = {spec.name: _schema(spec) for spec in self.manifest.inputs}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "description": "one item: an array for each graph input, without the batch axis",
        }

    def example(self) -> object:
        item = golden_item(self.bundle)
        if item.keys() != {spec.name for spec in self.manifest.inputs}:
            item = made_up_item(self.manifest.inputs)
        return {name: _to_lists(array) for name, array in item.items()}


def _to_lists(array: np.ndarray) -> object:
    """Nested lists; what JSON has no number for (NaN, infinity) becomes null."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        boxed = array.astype(object)
        boxed[~np.isfinite(array)] = None
        return boxed.tolist()
    return array.tolist()


def _schema(spec: TensorSpec) -> dict[str, object]:
    shape = ", ".join(map(str, item_shape(spec)))
    return {
        "type": "array",
        "items": {},
        "description": f"{BY_ONNX[spec.dtype].v2} of shape [{shape}]",
    }
