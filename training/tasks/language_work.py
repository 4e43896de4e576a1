"""What all kinds of work that train a decoder share: network, loaders, export, samples.

The exported graph is the generation engine's slot graph; torch's side of every comparison is the network
without a cache. Kinds of work are `text_generation` (texts learned whole) and `chat` (answers learned).
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import lightning
import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset

from training import plots
from training.data.byte_tokenizer import END_OF_TEXT
from training.data.windows import EpochBatches, ResumableLoader, Tokens
from training.decoder_checkpoint import CHECKPOINT_FILE
from training.lora import merged
from training.networks.decoder import Decoder
from training.networks.slot_graph import SlotDecoder
from training.networks.slot_plan import decoder_predict, first_prompts, slot_plan
from training.tasks.generation_settings import LanguageConfig
from training.tasks.language_module import LanguageModule
from training.text_samples import continue_prompt
from training.work import Arrays, ExportPlan, Predict, Work

LanguageConfigT = TypeVar("LanguageConfigT", bound=LanguageConfig)

_SAMPLE_TOKENS = 96


class LanguageWork(Work[LanguageConfigT]):
    """`prepare` of the kind of work sets the tokenizer."""

    tokenizer: Tokenizer
    is_distributable: ClassVar[bool] = True

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
