"""What every block is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen manifest record: unknown keys are refused, infinities and NaN too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


RelativeFile = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=255),
]
