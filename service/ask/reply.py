"""A model's reply as both ways of asking give it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """`body` is what `POST /v1/models/{name}/predict` answers; `took_ms` what the asker waited."""

    task: str
    body: dict[str, Any]
    took_ms: float

    @property
    def model(self) -> str:
        return f"{self.body['model_name']}/{self.body['model_version']}"

    @property
    def predictions(self) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self.body["predictions"]
        return answers
