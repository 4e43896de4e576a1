"""What pruning may be told: a group of the configurations whose networks take it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord


class PruningConfig(ConfigRecord):
    """After a part of the training the least weights are set to zero, and the others learn on."""

    amount: float = Field(
        default=0.0, ge=0, lt=1, description="part that is taken away; 0: nothing is"
    )
    kind: Literal["structured", "unstructured"] = Field(
        default="structured",
        description="structured: whole channels, so that the published graph has smaller layers; "
        "unstructured: single weights wherever they stand, which become zeros in layers of the same size",
    )
    begin: float = Field(
        default=0.4, ge=0, lt=1, description="part of all steps before the first weight is taken"
    )
    end: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="unstructured: part of all steps after which the whole amount is taken; it grows from "
        "`begin` on, first quickly, then slowly. Structured takes everything at `begin`",
    )

    @model_validator(mode="after")
    def _ends_after_its_beginning(self) -> Self:
        if self.amount and self.kind == "unstructured" and self.end <= self.begin:
            raise ValueError(
                f"pruning.end {self.end:g} must be later than pruning.begin {self.begin:g}"
            )
        return self
