"""Text generation: a decoder transformer on Python's own sources, or on anybody's text.

A kind of work for `training.pipeline`; what it shares with the others is in `language_work`.
"""

from typing import Any

import lightning
import numpy as np
from torch.utils.data import BatchSampler, DataLoader

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.manifest import Evaluation, ManifestDraft, Tolerance
from training.data.byte_tokenizer import END_OF_TEXT_ID, token_sizes, train_tokenizer
from training.data.documents import Corpus, Document
from training.data.pysource import read_standard_library
from training.data.textfiles import read_text_files
from training.data.windows import ShiftedStarts, Tokens, Windows
from training.distributed import world
from training.errors import DataError
from training.tasks import text_judge
from training.tasks.generation_settings import TextGenerationConfig
from training.tasks.language_work import LanguageWork
from training.work import Predict


class TextGenerationWork(LanguageWork[TextGenerationConfig]):
    """One run. `prepare` must come first."""

    corpus: Corpus
    windows: Windows
    held_out: text_judge.HeldOutText

    def prepare(self) -> None:
        config = self.config
        self.corpus = (
            read_standard_library()
            if self.data is None
            else read_text_files(self.data, config.held_out)
        )
        texts = [document.text for document in self.corpus.train]
        self.tokenizer = train_tokenizer(texts, config.vocabulary, config.tokenizer)
        self.windows = Windows(self._encode(self.corpus.train), config.decoder.context)
        self.held_out = text_judge.HeldOutText(
            self.corpus,
            self._encode(self.corpus.held_out),
            token_sizes(self.tokenizer),
            config.judged_overlap,
        )
        if len(self.windows) < 3:
            raise DataError(
                f"{self.corpus.dataset}: the text is shorter than three contexts of "
                f"{config.decoder.context} tokens; lower decoder.context or give more text"
            )
        # The end of the training text is neighbour of what is learned, which is good enough to choose
        # between epochs; figures come from the held-out documents alone.
        windows = min(config.validation_windows, max(1, len(self.windows) // 10))
        self._learned_tokens = len(self.windows.stream) - windows * config.decoder.context

    def data_summary(self) -> dict[str, str]:
        size = self.tokenizer.get_vocab_size()
        return self.corpus.summary() | {
            "tokens": f"{self._learned_tokens:,} for training, vocabulary {size:,} "
            f"({self.config.tokenizer})",
        }

    def data_sha256(self) -> str:
        return self.corpus.sha256()

    def train_loader(self) -> DataLoader[Any]:
        config = self.config
        batches = ShiftedStarts(
            self._learned_tokens,
            config.decoder.context,
            config.epoch_windows,
            config.batch_size,
            config.seed,
            world().part,
        )
        return self.loader(self.windows, batches)

    def val_loader(self) -> DataLoader[Any]:
        first, context = self._learned_tokens - 1, self.config.decoder.context
        starts = range(first, len(self.windows.stream) - context, context)
        batches = BatchSampler(list(starts), self.config.batch_size, drop_last=False)
        return DataLoader(self.windows, sampler=batches, batch_size=None)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        return text_judge.evaluations(self.held_out, self.config.decoder, predict, self.config.seed)

    def held_out_tokens(self) -> Tokens:
        return np.concatenate(self.held_out.tokens)

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

    def _encode(self, documents: tuple[Document, ...]) -> tuple[Tokens, ...]:
        encodings = self.tokenizer.encode_batch_fast([document.text for document in documents])
        return tuple(np.array([END_OF_TEXT_ID, *entry.ids], np.int64) for entry in encodings)
