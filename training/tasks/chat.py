"""Chat: a decoder learns to answer, from conversations of one's own or generated ones.

A kind of work for `training.pipeline`; what it shares with text generation is in `language_work`. The
network starts from nothing, from another run's weights, or from these with low-rank adapters beside them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch.utils.data import BatchSampler, DataLoader

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.manifest import Evaluation, ManifestDraft, Tolerance
from training.chat_template import CHAT_TEMPLATE, CONTROL_TOKENS, MESSAGE_END, render
from training.data.byte_tokenizer import END_OF_TEXT_ID, token_sizes, train_tokenizer
from training.data.conversations import (
    Conversation,
    Encoded,
    PackedConversations,
    encode,
    read_conversations,
)
from training.data.dialogues import make_dialogues
from training.data.windows import EpochBatches, Tokens
from training.decoder_checkpoint import DecoderCheckpoint, load_decoder
from training.distributed import world
from training.errors import DataError
from training.lora import add_adapters
from training.networks.decoder import Decoder
from training.tasks import chat_judge
from training.tasks.generation_settings import ChatConfig
from training.tasks.language_work import LanguageWork
from training.work import CardTable, Predict

_TEMPLATE_FILE = "chat_template.jinja"


class ChatWork(LanguageWork[ChatConfig]):
    """One run. `prepare` must come first."""

    held_out: chat_judge.HeldOutChat
    _base: DecoderCheckpoint | None = None
    _known_tokens = 0  # of the base's tokenizer

    def prepare(self) -> None:
        learned, held_out = self._split()
        self._prepare_tokenizer(learned)
        context = self.config.decoder.context
        encoded = self._fitting(learned, context)
        judged = [(entry, row) for entry, row in self._fitting(held_out, context)]
        if len(encoded) < 2 or not judged:
            raise DataError(
                f"{self._dataset}: hardly any conversation fits into decoder.context={context} tokens"
            )
        kept = max(1, round(len(encoded) * self.config.validation))
        self._validation = PackedConversations([row for _, row in encoded[-kept:]], context)
        self._training = PackedConversations([row for _, row in encoded[:-kept]], context)
        self._left_out = len(learned) + len(held_out) - len(encoded) - len(judged)
        self.held_out = chat_judge.HeldOutChat(
            self._dataset,
            self._split_name,
            [entry for entry, _ in encoded[:-kept]],
            [entry for entry, _ in judged],
            [row for _, row in judged],
            token_sizes(self.tokenizer),
        )

    def _split(self) -> tuple[list[Conversation], list[Conversation]]:
        config = self.config
        if self.data is None:
            self._dataset, self._split_name = "generated dialogues", "combinations chosen by hash"
            return make_dialogues(config.seed, config.held_out)
        self._dataset = self.data.name
        self._split_name = f"last {config.held_out:.0%} of the conversations"
        everything = read_conversations(self.data)
        cut = len(everything) - max(1, int(len(everything) * config.held_out))
        return everything[:cut], everything[cut:]

    def _prepare_tokenizer(self, learned: list[Conversation]) -> None:
        """Digits are tokens of their own: sums are done with digits."""
        config = self.config
        if config.base is None:
            texts = [entry.question + entry.answer for entry in learned]
            self.tokenizer = train_tokenizer(
                texts, config.vocabulary, config.tokenizer, special=CONTROL_TOKENS, digits=1
            )
            return
        self._base = load_decoder(config.base)
        self.tokenizer = self._base.tokenizer
        self._known_tokens = self.tokenizer.get_vocab_size()
        self.tokenizer.add_special_tokens(list(CONTROL_TOKENS))
        sizes = self._base.config.model_copy(update={"dropout": config.decoder.dropout})
        self.config = config.model_copy(update={"decoder": sizes})

    def _fitting(
        self, conversations: list[Conversation], context: int
    ) -> list[tuple[Conversation, Encoded]]:
        """Those that fit into the context whole, with their tokens."""
        rows = [(entry, encode(entry, self.tokenizer)) for entry in conversations]
        return [(entry, row) for entry, row in rows if len(row.ids) <= context]

    def data_summary(self) -> dict[str, str]:
        size = self.tokenizer.get_vocab_size()
        tokens = sum(len(entry.ids) for entry in self.held_out.encoded)
        return {
            "corpus": self._dataset,
            "train": f"{len(self.held_out.learned):,} conversations in {len(self._training):,} windows",
            "held out": f"{len(self.held_out.conversations):,} conversations, {tokens:,} tokens "
            f"({self._split_name})",
            "left out": f"{self._left_out:,} conversations beyond the context",
            "tokens": f"vocabulary {size:,} ({self.config.tokenizer})",
        }

    def data_sha256(self) -> str:
        digest = hashlib.sha256()
        for side in (self.held_out.learned, self.held_out.conversations):
            for entry in side:
                digest.update(json.dumps([entry.messages, entry.tools], sort_keys=True).encode())
        return digest.hexdigest()

    def network(self) -> Decoder:
        size = self.tokenizer.get_vocab_size()
        if self._base is None:
            return Decoder(self.config.decoder, size)
        network = self._base.decoder(self.config.decoder, size)
        if self.config.lora.rank:
            add_adapters(network, self.config.lora, self._known_tokens)
        return network

    def train_loader(self) -> DataLoader[Any]:
        config, items = self.config, len(self._training)
        batches = EpochBatches(items, items, config.batch_size, config.seed, world().part)
        return self.loader(self._training, batches)

    def val_loader(self) -> DataLoader[Any]:
        rows = list(range(len(self._validation)))
        batches = BatchSampler(rows, self.config.batch_size, drop_last=False)
        return DataLoader(self._validation, sampler=batches, batch_size=None)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Generated dialogues have one right answer; of one's own nothing says so."""
        return chat_judge.evaluations(
            self.held_out,
            self.config.decoder,
            predict,
            self.config.seed,
            exact_first=self.data is None,
        )

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:
        return chat_judge.topics(self.held_out, self.config.decoder, predict)

    def held_out_tokens(self) -> Tokens:
        return np.concatenate([entry.ids for entry in self.held_out.encoded])

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        context = self.config.decoder.context
        end = self.tokenizer.token_to_id(MESSAGE_END)
        calls = any("tool_calls" in str(entry.messages) for entry in self.held_out.learned)
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Answers as in the conversations of {self._dataset}.",
            runner="generation",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=PromptPreprocessing(
                context_tokens=context,
                bos_token_id=END_OF_TEXT_ID,
                chat_template=_TEMPLATE_FILE,
                tool_call_format="hermes" if calls else "none",
            ),
            postprocessing=GenerationPostprocessing(
                stop_token_ids=(end, END_OF_TEXT_ID),
                default_max_tokens=min(self.config.default_max_tokens, context - 1),
            ),
            batching=self.config.batching,
            tolerance=Tolerance(atol=self.config.gates.parity_atol, rtol=1e-2),
        )

    def write_assets(self, folder: Path) -> None:
        super().write_assets(folder)
        (folder / _TEMPLATE_FILE).write_text(CHAT_TEMPLATE, encoding="utf-8")

    def sample_texts(self) -> tuple[str, ...]:
        return tuple(
            render([{"role": "user", "content": text}], add_generation_prompt=True)
            for text in self.config.sample_prompts
        )
