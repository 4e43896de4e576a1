"""Text to text: translation and summarisation by an encoder–decoder.

A kind of work for `training.pipeline`. The bundle holds two graphs for the generation engine, the
encoder's and the decoder's (`training.networks.cross_slot`); torch's side of every comparison is the
network without a cache. Networks: our own Transformer, recurrent layers with attention, or a T5 checkpoint.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import lightning
import numpy as np
from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from models.blocks import GenerationPostprocessing, SourceTextPreprocessing
from models.manifest import Evaluation, Gate, ManifestDraft, Tolerance
from training import plots
from training.data import text_to_text as readers
from training.data.byte_tokenizer import END_OF_TEXT_ID
from training.data.seq2seq_tokenizer import encode_pairs, fit_tokenizer, within
from training.data.text_pairs import Pairs
from training.data.text_to_text import TextToText
from training.data.token_loader import pad_rows
from training.data.token_pairs import TokenPairs, pair_loader
from training.decoding import Writing, lost_lead, search, source_step, write
from training.errors import DataError
from training.networks.cross_plan import cross_plans, first_answers, onnx_bundle, torch_bundle
from training.networks.seq2seq import Seq2Seq
from training.networks.seq2seq_recurrent import RecurrentSeq2Seq
from training.networks.seq2seq_t5 import T5Seq2Seq, load_t5
from training.networks.seq2seq_transformer import TransformerSeq2Seq
from training.tasks.seq2seq_judge import Judge, sheet
from training.tasks.seq2seq_module import Seq2SeqModule
from training.tasks.text_to_text_settings import TextToTextConfig
from training.work import Arrays, CardTable, ExportPlan, Predict, Work

_SHEET_ROWS = 8
_GREEDY_BATCHES = (1, 2, 5)
_GREEDY_LENGTHS = 3  # short, middling and long test sources


class TextToTextWork(Work[TextToTextConfig]):
    """One run. `prepare` must come first."""

    takes_runtime_settings: ClassVar[bool] = False

    texts: TextToText
    tokenizers: tuple[Tokenizer, Tokenizer]
    checkpoint: T5Seq2Seq | None = None

    def prepare(self) -> None:
        config = self.config
        self.texts = readers.load(self.data, config)
        pairs = self.texts.pairs
        if config.pretrained.source is not None:
            self.checkpoint, tokenizer = load_t5(config.pretrained.source)
            self.tokenizers = (tokenizer, tokenizer)
        elif config.shared_vocabulary:
            both = fit_tokenizer((*pairs.train.first, *pairs.train.second), config.vocabulary)
            self.tokenizers = (both, both)
        else:
            self.tokenizers = (
                fit_tokenizer(pairs.train.first, config.vocabulary),
                fit_tokenizer(pairs.train.second, config.vocabulary),
            )
        cuts = range(config.segmentations if config.merge_dropout else 1)
        self._train = [
            self._tokens(pairs.train, config.merge_dropout, config.seed + cut) for cut in cuts
        ]
        fits = np.logical_and.reduce([self._fits(tokens) for tokens in self._train])
        self._left_out = int(len(fits) - fits.sum())
        rows = np.flatnonzero(fits)
        if len(rows) < 2:
            raise DataError(
                f"{pairs.name}: hardly any pair is within {config.max_source_tokens} source and "
                f"{config.max_answer_tokens} answer tokens; raise max_source_tokens, max_answer_tokens"
            )
        self._train = [_taken(tokens, rows) for tokens in self._train]
        self._validation = self._cut(self._tokens(pairs.validation))
        self._test = self._cut(self._tokens(pairs.test))

    def data_summary(self) -> dict[str, str]:
        pairs = self.texts.pairs
        words = sum(len(row) for row in self._train[0].answer)
        sizes = [f"{tokenizer.get_vocab_size():,}" for tokenizer in self.tokenizers]
        shared = self.tokenizers[0] is self.tokenizers[1]
        notes = list(pairs.notes)
        if self._left_out:
            notes.append(f"{self._left_out:,} training pairs longer than allowed left out")
        return {
            "pairs": f"{pairs.name}, {self.texts.direction}",
            "train": f"{len(self._train[0]):,} pairs, {words:,} answer tokens",
            "validation": f"{len(pairs.validation):,} pairs",
            "test": f"{len(pairs.test):,} pairs ({self.texts.test_name})",
            "vocabulary": sizes[0] if shared else f"{sizes[0]} read, {sizes[1]} written",
            **({"notes": "; ".join(notes)} if notes else {}),
        }

    def data_sha256(self) -> str:
        return self.texts.pairs.sha256()

    def lightning_module(self) -> Seq2SeqModule:
        return Seq2SeqModule(self._network(), self.config)

    def _network(self) -> Seq2Seq:
        config = self.config
        if self.checkpoint is not None:
            return self.checkpoint
        source, target = (tokenizer.get_vocab_size() for tokenizer in self.tokenizers)
        own: dict[str, Any] = {"dropout": config.dropout}
        if not config.shared_vocabulary:
            own["source_vocabulary"] = source
        if config.network == "recurrent":
            return RecurrentSeq2Seq(config.recurrent, target, **own)
        longest = max(config.max_source_tokens, config.max_answer_tokens)
        return TransformerSeq2Seq(config.transformer, target, longest=longest, **own)

    def train_loader(self) -> DataLoader[Any]:
        return pair_loader(self._train, self.config.batch_size, self._start, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        budget = self.config.batch_size
        return pair_loader([self._validation], budget, self._start, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, Seq2SeqModule)
        self._exported = module.network
        longest = min(self.config.max_source_tokens, self.config.max_answer_tokens)
        return cross_plans(module.network, tuple(sorted({2, max(2, longest // 4), longest})))

    def torch_predict(self, plan: ExportPlan) -> Predict:  # noqa: ARG002
        return torch_bundle(self._exported)

    def onnx_predict(self, graph: Path) -> Predict:
        return onnx_bundle(graph)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        return self._judge.evaluations(predict)

    @cached_property
    def _judge(self) -> Judge:
        pairs = self.texts.pairs
        return Judge(
            kind=self.config.kind,
            dataset=pairs.name,
            split=self.texts.test_name,
            train=pairs.train,
            test=pairs.test,
            sources=self._test.source,
            tokenizer=self.tokenizers[1],
            sizes=self._exported.sizes,
            writing=self._writing,
            seed=self.config.seed,
        )

    def verify_more(self, torch_side: Predict, onnx_side: Predict) -> tuple[Gate, ...]:
        """Greedy search on both sides, at several source lengths and batch sizes. Where the answers
        part, the graph's choice must have been as good as torch's within the parity limit."""
        order = np.argsort([len(source) for source in self._test.source], kind="stable")
        spread = np.linspace(0, len(order) - 1, _GREEDY_LENGTHS).astype(int)
        worst, equal, count = 0.0, 0, 0
        for place in spread.tolist():
            for batch in _GREEDY_BATCHES:
                rows = order[max(0, place - batch + 1) :][:batch]
                sources = [self._test.source[row] for row in rows]
                mine, theirs = (
                    source_step(sources, side, self._exported.sizes)
                    for side in (torch_side, onnx_side)
                )
                writing = self._greedy
                answers = search(theirs, len(sources), writing)
                expected = search(mine, len(sources), writing)
                worst = max(worst, lost_lead(mine, writing, expected, answers))
                equal += sum(a == b for a, b in zip(answers, expected, strict=True))
                count += len(sources)
        limit = self.config.gates.parity_atol
        return (
            Gate(
                name="greedy-parity",
                limit=limit,
                measured=worst,
                comparison="<=",
                passed=worst <= limit,
                detail=f"{equal} of {count} greedy answers equal token by token",
            ),
        )

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Held-out texts: `batch` sources and answers of `length` tokens, the last source shorter."""
        length = length or min(self.config.max_source_tokens, self.config.max_answer_tokens) // 4
        sources = [np.resize(_row(self._test.source, row), length) for row in range(batch)]
        sources[-1] = sources[-1][: max(1, 2 * length // 3)]
        ids, mask = pad_rows(sources, length)
        answers = np.stack(
            [
                np.resize(np.append(self._start, _row(self._test.answer, row)), length)
                for row in range(batch)
            ]
        )
        step = first_answers(answers.astype(np.int64), self._exported.sizes)
        return {"input_ids": ids, "attention_mask": mask, **step}

    def golden(self, predict: Predict) -> tuple[Arrays, Arrays]:
        """What both graphs answer: the encoder's `cross.*` and, written from them, the logits."""
        inputs = self.sample_inputs(3, None)
        answers = predict(inputs)
        return inputs, {
            name: answer
            for name, answer in answers.items()
            if name == "logits" or name.startswith("cross.")
        }

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        config = self.config
        return ManifestDraft(
            name=config.name,
            task=config.task,
            description=self._description(),
            runner="generation",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=SourceTextPreprocessing(
                max_source_tokens=config.max_source_tokens,
                context_tokens=config.max_answer_tokens,
                source_prefix=self._prefix,
                decoder_start_token_id=self._start,
                target_tokenizer=None if self._is_joint else "target_tokenizer.json",
            ),
            postprocessing=GenerationPostprocessing(
                stop_token_ids=self._stop,
                default_max_tokens=config.max_answer_tokens - 1,
                num_beams=config.num_beams,
                length_penalty=config.length_penalty,
            ),
            batching=config.batching,
            # Rounding of the float16 cache differs between processors by more than fp32 would.
            tolerance=Tolerance(atol=config.gates.parity_atol, rtol=1e-2),
        )

    def _description(self) -> str:
        verb = "Translates" if self.config.kind == "translation" else "Summarises"
        return f"{verb} texts like those of {self.texts.pairs.name} ({self.texts.direction})."

    def write_assets(self, folder: Path) -> None:
        self.tokenizers[0].save(str(folder / "tokenizer.json"))
        if not self._is_joint:
            self.tokenizers[1].save(str(folder / "target_tokenizer.json"))

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: held-out sources, their references and what the published graphs write."""
        rows = np.linspace(0, len(self._test) - 1, min(_SHEET_ROWS, len(self._test))).astype(int)
        sources = [self._test.source[row] for row in rows]
        answers = write(sources, predict, self._exported.sizes, self._writing)
        test = self.texts.pairs.test
        texts = [self.tokenizers[1].decode(list(answer)).strip() for answer in answers]
        plots.text_sheet(folder / "samples.png", sheet(test.take(rows), texts))

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:  # noqa: ARG002
        return (self._judge.signatures(),)

    @property
    def _is_joint(self) -> bool:
        return self.tokenizers[0] is self.tokenizers[1]

    @property
    def _start(self) -> int:
        return END_OF_TEXT_ID if self.checkpoint is None else self.checkpoint.start_token_id

    @property
    def _stop(self) -> tuple[int, ...]:
        return (END_OF_TEXT_ID,) if self.checkpoint is None else self.checkpoint.stop_token_ids

    @property
    def _prefix(self) -> str:
        """Settings come without the blanks around them."""
        return f"{self.config.source_prefix} " if self.config.source_prefix else ""

    @property
    def _writing(self) -> Writing:
        config = self.config
        # The start token has a place of the cache too, so that one token fewer can be written.
        return Writing(
            start=self._start,
            stop=self._stop,
            max_tokens=config.max_answer_tokens - 1,
            num_beams=config.num_beams,
            length_penalty=config.length_penalty,
        )

    @property
    def _greedy(self) -> Writing:
        return Writing(self._start, self._stop, self.config.max_answer_tokens - 1)

    def _tokens(self, pairs: Pairs, dropout: float = 0.0, seed: int = 0) -> TokenPairs:
        return encode_pairs(pairs, self.tokenizers, self._prefix, dropout, seed)

    def _fits(self, tokens: TokenPairs) -> Any:
        return within(tokens, self.config.max_source_tokens, self.config.max_answer_tokens)

    def _cut(self, tokens: TokenPairs) -> TokenPairs:
        """Held-out pairs all count; what is too long is cut, as a server does with a long source."""
        config = self.config
        return TokenPairs(
            tuple(_cut(row, config.max_source_tokens) for row in tokens.source),
            tuple(_cut(row, config.max_answer_tokens) for row in tokens.answer),
        )


def _cut(row: Any, most: int) -> Any:
    """The end of text stays."""
    return row if len(row) <= most else np.append(row[: most - 1], row[-1])


def _taken(tokens: TokenPairs, rows: Any) -> TokenPairs:
    return TokenPairs(
        tuple(tokens.source[row] for row in rows), tuple(tokens.answer[row] for row in rows)
    )


def _row(rows: tuple[Any, ...], number: int) -> Any:
    return rows[number % len(rows)]
