"""Text generation: a decoder transformer on Python's own sources, or on anybody's text.

A kind of work for `training.pipeline`. The exported graph is the generation engine's slot graph;
torch's side of every comparison is the network without a cache.
"""

from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.manifest import Evaluation, ManifestDraft, Tolerance
from training import muon, optimizer, plots
from training.data.byte_tokenizer import END_OF_TEXT_ID, token_bytes, train_tokenizer
from training.data.documents import Corpus, Document
from training.data.pysource import read_standard_library
from training.data.textfiles import read_text_files
from training.data.windows import EpochBatches, Tokens, Windows, window_loader
from training.errors import DataError
from training.networks.decoder import Decoder
from training.networks.slot_graph import SlotDecoder
from training.networks.slot_plan import decoder_predict, first_prompts, slot_plan
from training.tasks import text_judge
from training.tasks.generation_settings import TextGenerationConfig
from training.text_samples import continue_prompt
from training.work import Arrays, ExportPlan, Predict, Work

_SAMPLE_TOKENS = 96


class DecoderModule(lightning.LightningModule):
    """Loss and optimiser around the network. Batches are int64 [windows, T + 1]."""

    def __init__(self, network: Decoder, config: TextGenerationConfig) -> None:
        super().__init__()
        self.network = network
        self._config = config

    def _loss(self, batch: Tensor) -> Tensor:
        """Mean nats per predicted token."""
        logits = self.network(batch[:, :-1]).flatten(0, 1)
        return functional.cross_entropy(logits.float(), batch[:, 1:].flatten())

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        optim = self._config.optim
        if optim.optimizer != "adamw":
            return optimizer.configure(self.network, optim, steps)
        return muon.configure(self.network, optim, optim.matrix_learning_rate, steps)


class TextGenerationWork(Work[TextGenerationConfig]):
    """One run. `prepare` must come first."""

    corpus: Corpus
    tokenizer: Tokenizer
    windows: Windows
    held_out: text_judge.HeldOutText

    def prepare(self) -> None:
        self.corpus = read_standard_library() if self.data is None else read_text_files(self.data)
        texts = [document.text for document in self.corpus.train]
        self.tokenizer = train_tokenizer(texts, self.config.vocabulary)
        self.windows = Windows(self._encode(self.corpus.train), self.config.decoder.context)
        self.held_out = text_judge.HeldOutText(
            self.corpus, self._encode(self.corpus.held_out), token_bytes(self.tokenizer)
        )
        if len(self.windows) < 2:
            raise DataError(
                f"{self.corpus.dataset}: the text is shorter than two contexts of "
                f"{self.config.decoder.context} tokens; lower decoder.context or give more text"
            )
        # Every k-th window is kept from training: neighbours of what is learned, which is good
        # enough to choose between epochs; figures come from the held-out documents alone.
        every = max(2, len(self.windows) // self.config.validation_windows)
        numbers = np.arange(len(self.windows))
        self._validation_rows = numbers[every - 1 :: every].tolist()
        self._training_rows = numbers[numbers % every != every - 1].tolist()

    def data_summary(self) -> dict[str, str]:
        size = self.tokenizer.get_vocab_size()
        context = self.config.decoder.context
        return self.corpus.summary() | {
            "tokens": f"{len(self.windows) * context:,} for training, vocabulary {size:,}",
        }

    def data_sha256(self) -> str:
        return self.corpus.sha256()

    def lightning_module(self) -> DecoderModule:
        network = Decoder(self.config.decoder, self.tokenizer.get_vocab_size())
        return DecoderModule(network, self.config)

    def train_loader(self) -> DataLoader[Any]:
        config = self.config
        batches = EpochBatches(
            self._training_rows, config.epoch_windows, config.batch_size, config.seed
        )
        return window_loader(self.windows, batches)

    def val_loader(self) -> DataLoader[Any]:
        batches = BatchSampler(self._validation_rows, self.config.batch_size, drop_last=False)
        return window_loader(self.windows, batches)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, DecoderModule)
        context = self.config.decoder.context
        lengths = sorted({1, context // 8, context // 2, context})
        return slot_plan(module.network, tuple(lengths))

    def torch_predict(self, plan: ExportPlan) -> Predict:
        assert isinstance(plan.module, SlotDecoder)
        return decoder_predict(plan.module.decoder)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        return text_judge.evaluations(self.held_out, self.config.decoder, predict, self.config.seed)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Held-out text: `batch` prompts of `length` tokens, spread over the documents."""
        length = length or self.config.decoder.context // 4
        stream = np.concatenate(self.held_out.tokens)
        stream = np.resize(stream, max(len(stream), batch * length))
        starts = np.linspace(0, len(stream) - length, batch).astype(int)
        prompts = np.stack([stream[start : start + length] for start in starts])
        return first_prompts(prompts, self.config.decoder)

    def golden(self, predict: Predict) -> tuple[Arrays, Arrays]:
        """Logits alone: the cache's content is examined through what it does to them."""
        inputs = self.sample_inputs(3, None)
        return inputs, {"logits": predict(inputs)["logits"]}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        context = self.config.decoder.context
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Continues text like that of {self.corpus.dataset}.",
            runner="generation",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=PromptPreprocessing(context_tokens=context, bos_token_id=END_OF_TEXT_ID),
            postprocessing=GenerationPostprocessing(
                stop_token_ids=(END_OF_TEXT_ID,),
                default_max_tokens=min(self.config.default_max_tokens, context - 1),
            ),
            batching=self.config.batching,
            # Rounding of the float16 cache differs between processors by more than fp32 would.
            tolerance=Tolerance(atol=self.config.gates.parity_atol, rtol=1e-2),
        )

    def write_assets(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / "tokenizer.json"))

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: what the published graph makes of a few beginnings."""
        texts = []
        for beginning in self.config.sample_prompts:
            prompt = np.array([END_OF_TEXT_ID, *self.tokenizer.encode(beginning).ids])
            text = continue_prompt(prompt, predict, self.config.decoder, _SAMPLE_TOKENS)
            texts.append(self.tokenizer.decode(text.tolist()))
        plots.text_sheet(folder / "samples.png", texts)

    def _encode(self, documents: tuple[Document, ...]) -> tuple[Tokens, ...]:
        encodings = self.tokenizer.encode_batch_fast([document.text for document in documents])
        return tuple(np.array([END_OF_TEXT_ID, *entry.ids], np.int64) for entry in encodings)
