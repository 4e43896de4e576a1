"""Extractive question answering: …ForQuestionAnswering of transformers; long contexts become windows.

The library has no pipeline for it any more. What it still has, tokenizer and network, is asked for windows
and logits, and these are compared; the search for the best span is the service's own.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from typing_extensions import override

from models.blocks import SpanPostprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.text import MOST_WINDOWS
from training.importing.kind import Difference
from training.importing.kinds.text import Head, TextKind, as_batch
from training.importing.library import quiet_library
from training.importing.samples import PAIRS
from training.work import Arrays, Predict

_OUTPUTS = ("start_logits", "end_logits")


class QuestionAnsweringKind(TextKind):
    task: ClassVar[str] = "question-answering"
    library: ClassVar[str] = "transformers' tokenizer and network"
    measure: ClassVar[str] = "largest difference of a start or end logit"
    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    is_pair: ClassVar[bool] = True
    stride_tokens: ClassVar[int] = 128

    @override
    def head(self) -> nn.Module:
        return Head(self.network, [spec.name for spec in self.input_specs()], _OUTPUTS)

    @property
    @override
    def postprocessing(self) -> SpanPostprocessing:
        return SpanPostprocessing(may_have_no_answer=self.options.may_have_no_answer)

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=("batch", "sequence"))
            for name in _OUTPUTS
        )

    @override
    def summary(self) -> dict[str, str]:
        stride = self.preprocessing.stride_tokens
        says = "may be answered" if self.options.may_have_no_answer else "is never answered"
        return super().summary() | {"windows": f"overlap by {stride} tokens", "nothing": says}

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        for question, context in PAIRS:
            expected = self._of_library(question, context)[:MOST_WINDOWS]
            windows = self.encoder.encode_pair(question, context, truncate=True)
            shown = f"{question} — {context}"
            if len(windows) != len(expected):
                problem = f"({len(windows)} windows instead of the library's {len(expected)})"
                yield Difference(shown, np.inf, problem)
                continue
            gap = 0.0
            for window, theirs in zip(windows, expected, strict=True):
                ours = predict(as_batch(window.row))
                for name in _OUTPUTS:
                    if ours[name][0].shape != theirs[name].shape:
                        gap = np.inf
                        break
                    gap = max(gap, float(np.abs(ours[name][0] - theirs[name]).max()))
            yield Difference(shown, float(np.nan_to_num(gap, nan=np.inf)))

    def _of_library(self, question: str, context: str) -> list[Arrays]:
        """Logits of every window, without padding."""
        block = self.preprocessing
        with quiet_library():
            encoded: Any = self.tokenizer(
                question,
                context,
                truncation="only_second",
                max_length=block.max_tokens,
                stride=block.stride_tokens,
                return_overflowing_tokens=True,
            )
        answers = []
        names = [name for name in self.tokenizer.model_input_names if name in encoded]
        for index in range(len(encoded["input_ids"])):
            inputs = {name: torch.tensor([encoded[name][index]]) for name in names}
            with torch.inference_mode():
                found = self.network(**inputs)
            answers.append({name: getattr(found, name)[0].numpy() for name in _OUTPUTS})
        return answers
