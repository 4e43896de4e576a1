"""What all kinds of work that train a decoder share: network, loaders, export, samples.

The exported graph is the generation engine's slot graph; torch's side of every comparison is the network
without a cache. Kinds of work are `text_generation` (texts learned whole) and `chat` (answers learned).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import lightning
import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset

from models.manifest import Evaluation, Gate
from training import plots
from training.data.byte_tokenizer import END_OF_TEXT
from training.data.windows import EpochBatches, ResumableLoader, Tokens
from training.decoder_checkpoint import CHECKPOINT_FILE
from training.lora import merged
from training.networks.decoder import Decoder
from training.networks.slot_graph import SlotDecoder
from training.networks.slot_plan import decoder_predict, first_prompts, slot_plan
from training.networks.slot_runner import SlotRunner, greedy, lost_lead
from training.optimizing.budget import Budget
from training.predict import open_session
from training.tasks.generation_settings import LanguageConfig
from training.tasks.language_module import LanguageModule
from training.text_samples import continue_prompt
from training.work import Array, Arrays, ExportPlan, Predict, Work

LanguageConfigT = TypeVar("LanguageConfigT", bound=LanguageConfig)

_SAMPLE_TOKENS = 96


_GREEDY_BATCHES = (1, 3, 6)
_GREEDY_TOKENS = 24


class SlotPredict:
    """Logits of prompts read whole; and which graph gave them, for those who run it otherwise."""

    def __init__(self, graph: Path) -> None:
        self.graph = graph
        self._session = open_session(graph)

    def __call__(self, inputs: Mapping[str, Array]) -> Arrays:
        [logits] = self._session.run(["logits"], dict(inputs))
        return {"logits": logits}


def _is_bits(row: Evaluation) -> bool:
    return row.metric.endswith("bits-per-byte")


class LanguageWork(Work[LanguageConfigT]):
    """`prepare` of the kind of work sets the tokenizer."""

    tokenizer: Tokenizer
    is_distributable: ClassVar[bool] = True
    timed_batches: ClassVar[tuple[int, ...]] = (1, 8)
    serves_variants: ClassVar[bool] = True
    takes_runtime_settings: ClassVar[bool] = False

    @abstractmethod
    def held_out_tokens(self) -> Tokens:
        """Held-out text as one stream, for samples and golden questions."""

    def network(self) -> Decoder:
        return Decoder(self.config.decoder, self.tokenizer.get_vocab_size())

    def lightning_module(self) -> LanguageModule:
        self._module = LanguageModule(self.network(), self.tokenizer, self.config)
        return self._module

    def loader(self, items: Dataset[Any], batches: EpochBatches) -> DataLoader[Any]:
        return ResumableLoader(items, batches)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, LanguageModule)
        context = self.config.decoder.context
        lengths = sorted({1, context // 8, context // 2, context})
        return slot_plan(merged(module.network), tuple(lengths))

    def torch_predict(self, plan: ExportPlan) -> Predict | None:
        assert isinstance(plan.module, SlotDecoder)
        return decoder_predict(plan.module.decoder)

    def onnx_predict(self, graph: Path) -> Predict | None:
        return SlotPredict(graph)

    def verify_more(self, torch_side: Predict, onnx_side: Predict) -> tuple[Gate, ...]:
        """Greedy texts of ragged batches, written as the engine writes them; torch, which reads each of
        them whole, must find every token as likely as its own choice."""
        assert isinstance(onnx_side, SlotPredict)
        context = self.config.decoder.context
        answer = min(_GREEDY_TOKENS, context // 3)
        worst, choices = 0.0, 0
        for batch in _GREEDY_BATCHES:
            prompts = self._ragged_prompts(batch, context - answer)
            # Chunks shorter than most prompts, as under load.
            answers = greedy(onnx_side.graph, prompts, answer, max(2, context // 8))
            for prompt, tokens in zip(prompts, answers, strict=True):
                given = np.array(tokens)
                read = first_prompts(
                    np.concatenate((prompt, given))[np.newaxis], self.config.decoder
                )
                worst = max(worst, lost_lead(torch_side, read, prompt, given))
                choices += len(tokens)
        limit = self.config.gates.parity_atol
        detail = f"most that a greedy choice lies behind torch's, in logits, of {choices} choices"
        return (
            Gate(
                name="greedy-parity",
                limit=limit,
                measured=worst,
                comparison="<=",
                passed=worst <= limit,
                detail=detail,
            ),
        )

    def _ragged_prompts(self, batch: int, longest: int) -> list[Tokens]:
        """Held-out text in prompts of as many lengths, from 2 tokens on."""
        lengths = np.linspace(2, longest, batch + 1).astype(int)[1:]
        stream = np.resize(self.held_out_tokens(), 2 * longest + batch)
        return [stream[row * 7 % longest :][:length] for row, length in enumerate(lengths)]

    def quantization_candidates(self) -> tuple[str, ...]:
        """Dynamic int8 is none: its scale spans the batch, and so would one caller's influence."""
        return self.config.variants.precisions

    def variant_objection(
        self,
        precision: str,
        reference: tuple[Evaluation, ...],
        given: tuple[Evaluation, ...],
        budget: Budget,
    ) -> str:
        """Bits may grow by a part of themselves; a main metric of another kind by its own budget."""
        objection = "" if _is_bits(reference[0]) else budget.objection(reference, given)
        [before] = [row for row in reference if _is_bits(row)]
        [after] = [row for row in given if _is_bits(row)]
        grown = after.value / before.value - 1
        most = self.config.variants.budget(precision)
        if grown > most:
            return f"{before.metric} grow by {grown:.2%}, more than {most:.2%}"
        return objection

    def timed_run(self, graph: Path, batch: int) -> Callable[[], object] | None:
        """One token more for each of `batch` rows that fill half of the context."""
        context = self.config.decoder.context
        runner = SlotRunner(graph, batch, context)
        tokens = np.resize(self.held_out_tokens(), batch)
        lengths = np.full(batch, context // 2, np.int32)
        return lambda: runner.step(tokens, lengths)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Held-out text: `batch` prompts of `length` tokens, spread over it."""
        length = length or self.config.decoder.context // 4
        stream = self.held_out_tokens()
        stream = np.resize(stream, max(len(stream), batch * length))
        starts = np.linspace(0, len(stream) - length, batch).astype(int)
        prompts = np.stack([stream[start : start + length] for start in starts])
        return first_prompts(prompts, self.config.decoder)

    def golden(self, predict: Predict) -> tuple[Arrays, Arrays]:
        """Logits alone: the cache's content is examined through what it does to them."""
        inputs = self.sample_inputs(3, None)
        return inputs, {"logits": predict(inputs)["logits"]}

    def write_assets(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / "tokenizer.json"))
        if self.config.checkpoint:
            torch.save(self._module.state_dict(), folder / CHECKPOINT_FILE)

    def sample_texts(self) -> tuple[str, ...]:
        """Beginnings for the sample sheet, each from its end-of-text token on."""
        return tuple(END_OF_TEXT + text for text in self.config.sample_prompts)

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: what the published graph makes of a few beginnings."""
        texts = []
        for beginning in self.sample_texts():
            prompt = np.array(self.tokenizer.encode(beginning).ids)
            text = continue_prompt(prompt, predict, self.config.decoder, _SAMPLE_TOKENS)
            texts.append(self.tokenizer.decode(text.tolist()))
        plots.text_sheet(folder / "samples.png", texts)
