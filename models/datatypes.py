"""One table of element types: ONNX's names, V2's names, numpy's dtypes.

Everything that converts between the three asks here, so a type is supported everywhere or nowhere.
BFLOAT16 has no numpy dtype; it travels as raw 16-bit words and only in binary form.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class DataType(StrEnum):
    """ONNX tensor element types (onnx.TensorProto.DataType), by their ONNX names."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT16 = "FLOAT16"
    BFLOAT16 = "BFLOAT16"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    STRING = "STRING"


@dataclass(frozen=True)
class TypeInfo:
    """`v2`: Open Inference Protocol name; `numpy`: dtype in memory; `ort`: ONNX Runtime's type text."""

    onnx: DataType
    v2: str
    numpy: np.dtype[np.generic]
    ort: str


def _info(onnx: DataType, v2: str, numpy: str, ort: str) -> TypeInfo:
    return TypeInfo(onnx, v2, np.dtype(numpy), f"tensor({ort})")


TYPES: tuple[TypeInfo, ...] = (
    _info(DataType.BOOL, "BOOL", "bool", "bool"),
    _info(DataType.UINT8, "UINT8", "uint8", "uint8"),
    _info(DataType.UINT16, "UINT16", "uint16", "uint16"),
    _info(DataType.UINT32, "UINT32", "uint32", "uint32"),
    _info(DataType.UINT64, "UINT64", "uint64", "uint64"),
    _info(DataType.INT8, "INT8", "int8", "int8"),
    _info(DataType.INT16, "INT16", "int16", "int16"),
    _info(DataType.INT32, "INT32", "int32", "int32"),
    _info(DataType.INT64, "INT64", "int64", "int64"),
    _info(DataType.FLOAT16, "FP16", "float16", "float16"),
    _info(DataType.BFLOAT16, "BF16", "uint16", "bfloat16"),
    _info(DataType.FLOAT, "FP32", "float32", "float"),
    _info(DataType.DOUBLE, "FP64", "float64", "double"),
    _info(DataType.STRING, "BYTES", "object", "string"),
)

BY_ONNX: dict[str, TypeInfo] = {info.onnx.value: info for info in TYPES}
BY_V2: dict[str, TypeInfo] = {info.v2: info for info in TYPES}
BY_ORT: dict[str, TypeInfo] = {info.ort: info for info in TYPES}
# BFLOAT16 is left out: its carrier, uint16, is UINT16's own dtype.
BY_NUMPY: dict[np.dtype[np.generic], TypeInfo] = {
    info.numpy: info for info in TYPES if info.onnx is not DataType.BFLOAT16
}


def float32_of(words: np.ndarray) -> np.ndarray:
    """BFLOAT16's words as the numbers they stand for: each is the upper half of a float32."""
    return (words.astype(np.uint32) << 16).view(np.float32)
