"""Text generation: …ForCausalLM of transformers, into the graph of the generation engine.

The network is Slipway's own decoder with the checkpoint's traits, sizes and weights; the library's is
loaded once more, to be compared with, and let go. What is compared are whole greedy texts, written the way
the engine writes: prompts in chunks, rows of different length together, the cache in place.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from typing_extensions import override

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.errors import UsageError
from models.manifest import Gate, Tolerance
from training import quantize
from training.checkpoints import load_module, read_json
from training.errors import DataError, GateFailed
from training.graph_file import move_graph
from training.importing import decoders
from training.importing.decoder_weights import load_decoder
from training.importing.kind import Difference, ImportKind
from training.importing.kinds.text import bare_json
from training.importing.library import OFFLINE, blaming, load_tokenizer, quiet_library
from training.importing.samples import TEXTS
from training.networks.slot_plan import decoder_predict, first_prompts, slot_plan
from training.networks.slot_runner import Tokens, greedy
from training.predict import onnx_predict
from training.pretrained import TOKENIZER_FILE
from training.report import Reporter
from training.tasks.text_judge import surprisal
from training.work import Arrays, ExportPlan, Predict

_TEMPLATE_FILE = "chat_template.jinja"
_LONGEST_CONTEXT = 4096  # unless the person asks for more: every slot keeps room for it
_LONGEST_VERIFIED_TOKENS = 256
_ANSWER_TOKENS = 32
_CHUNK_TOKENS = 24
_DEFAULT_ANSWER_TOKENS = 256
# A coarse bound for a coarse measure, a few hundred tokens; `slipway train`'s variants know better.
_MOST_BITS = {"int8": 0.01, "int4": 0.03}


class TextGenerationKind(ImportKind):
    task: ClassVar[str] = "text-generation"
    library: ClassVar[str] = "transformers' generate"
    measure: ClassVar[str] = "lead of the library's token where the texts part, in logits"
    limit: ClassVar[float] = 0.05
    parity_atol: ClassVar[float] = 0.05
    runner: ClassVar[Literal["batch", "generation"]] = "generation"
    # Rounding of the float16 cache differs between processors by more than fp32 would.
    tolerance: ClassVar[Tolerance] = Tolerance(atol=0.05, rtol=1e-2)
    largest_batch: ClassVar[int] = 16

    tokenizer: Any

    @override
    def read(self) -> None:
        from transformers import AutoConfig

        folder = self.checkpoint.folder
        with blaming(folder, "transformers cannot read config.json"):
            self._library_config = AutoConfig.from_pretrained(folder, **OFFLINE)
        family = decoders.family_of(self._library_config)
        self.config = decoders.describe(self._library_config, self._context())
        self.tokenizer = load_tokenizer(folder)
        self.module = load_decoder(folder, self.config, family.layout)
        self._vocabulary = self.module.head.out_features
        size = Tokenizer.from_str(bare_json(self.tokenizer)).get_vocab_size()
        if size > self._vocabulary:
            raise DataError(
                f"{folder}: the tokenizer knows {size:,} tokens, the embedding {self._vocabulary:,}"
            )

    def _context(self) -> int:
        longest = decoders.longest_text(self._library_config)
        wanted = self.options.context_tokens
        if wanted > longest:
            raise UsageError(
                f"--context {wanted}: the checkpoint was made for {longest} tokens "
                "(max_position_embeddings)"
            )
        return wanted or min(longest, _LONGEST_CONTEXT)

    @override
    def summary(self) -> dict[str, str]:
        traits, config = self.config.traits, self.config
        windows = sorted(set(traits.windows) - {0})
        return {
            "tokenizer": f"{self._vocabulary:,} tokens, prompt and answer up to {config.context:,}",
            "network": f"{config.layers} layers of width {config.width}, {config.heads} heads of "
            f"{config.head_size} over {config.kv_heads} for keys and values",
            "attention": f"windows of {windows[0]:,} tokens in {sum(map(bool, traits.windows))} layers"
            if windows
            else "over the whole text",
            "chat template": "yes" if self._template else "none: it continues texts",
        }

    @cached_property
    def _template(self) -> str | None:
        found = self.tokenizer.chat_template
        if isinstance(found, dict):
            found = found.get("default")
        return found if isinstance(found, str) else None

    @property
    @override
    def preprocessing(self) -> PromptPreprocessing:
        bos = self.tokenizer.bos_token_id
        starts = self.tokenizer("a").input_ids[:1] == [bos]
        return PromptPreprocessing(
            context_tokens=self.config.context,
            bos_token_id=bos if starts else None,
            chat_template=_TEMPLATE_FILE if self._template else None,
            tool_call_format=_tool_calls(self._template or ""),
        )

    @property
    @override
    def postprocessing(self) -> GenerationPostprocessing:
        return GenerationPostprocessing(
            stop_token_ids=self._stops(),
            default_max_tokens=min(_DEFAULT_ANSWER_TOKENS, max(1, self.config.context // 2)),
        )

    def _stops(self) -> tuple[int, ...]:
        """What ends an answer: generation_config.json, else config.json, else the tokenizer."""
        said = read_json(self.checkpoint.folder / "generation_config.json").get("eos_token_id")
        for found in (
            said,
            self.checkpoint.config.get("eos_token_id"),
            self.tokenizer.eos_token_id,
        ):
            if found is not None:
                ends = found if isinstance(found, list) else [found]
                return tuple(dict.fromkeys(int(end) for end in ends if 0 <= end < self._vocabulary))
        return ()

    @override
    def plan(self) -> ExportPlan:
        longest = min(self.config.context, _LONGEST_VERIFIED_TOKENS)
        return slot_plan(self.module, tuple(sorted({1, 2, min(33, longest), longest})))

    @override
    def torch_predict(self, plan: ExportPlan) -> Predict:
        return decoder_predict(self.module)

    @override
    def onnx_predict(self, graph: Path) -> Predict:
        ask = onnx_predict(graph)
        self._graph = graph
        return lambda inputs: {"logits": ask(inputs)["logits"]}

    @override
    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Of real texts, `length` tokens each."""
        length = length or min(32, self.config.context)
        stream = np.concatenate(self._texts)
        stream = np.resize(stream, max(len(stream), batch * length))
        starts = np.linspace(0, len(stream) - length, batch).astype(int)
        prompts = np.stack([stream[start : start + length] for start in starts])
        return first_prompts(prompts, self.config)

    @cached_property
    def _texts(self) -> list[Tokens]:
        """The sample texts as prompts: with what the tokenizer puts before them, and at least two tokens."""
        block, longest = self.preprocessing, self.config.context - _ANSWER_TOKENS
        first = [] if block.bos_token_id is None else [block.bos_token_id]
        texts = [first + self.tokenizer(text, add_special_tokens=False).input_ids for text in TEXTS]
        prompts = [np.array(text[:longest], np.int64) for text in texts if len(text) >= 2]
        if not prompts:
            raise DataError(f"{self.checkpoint.folder}: the tokenizer makes nothing of any text")
        return prompts

    @override
    def write_assets(self, folder: Path) -> None:
        (folder / TOKENIZER_FILE).write_text(bare_json(self.tokenizer), encoding="utf-8")
        if self._template:
            (folder / _TEMPLATE_FILE).write_text(self._template, encoding="utf-8")

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        """Where a text parts from the library's, the library's own logits say by how much."""
        if self.config.context <= _ANSWER_TOKENS + 1:
            raise UsageError(f"--context must be more than {_ANSWER_TOKENS + 1}, to be compared")
        answers = greedy(self._graph, self._texts, _ANSWER_TOKENS, _CHUNK_TOKENS)
        library = _Library(self.checkpoint.folder)
        for prompt, given in zip(self._texts, answers, strict=True):
            expected, logits = library.continue_text(prompt, _ANSWER_TOKENS)
            parted = next((i for i in range(len(given)) if given[i] != expected[i]), None)
            question = f"{len(prompt)} tokens: {self.tokenizer.decode(prompt[:24])}"
            if parted is None:
                yield Difference(question, 0.0)
            else:
                lead = float(logits[parted, expected[parted]] - logits[parted, given[parted]])
                yield Difference(question, lead, f"(token {parted + 1})")

    @override
    def compress(self, graph: Path, ask: Predict, report: Reporter) -> tuple[Gate, ...]:
        """Weight-only; held to the bits per token that the sample texts cost before."""
        precision = self.options.precision
        target = graph.with_name("compressed.onnx")
        quantize.quantize(f"{precision}-weight-only", graph, target)
        before, after = self._bits(ask), self._bits(self.onnx_predict(target))
        limit = _MOST_BITS[precision]
        grown = after / before - 1
        report.line(
            f"bits per token of sample texts: {before:.4f} → {after:.4f} ({grown:+.2%}, limit "
            f"{limit:+.0%})"
        )
        if not grown <= limit:
            raise GateFailed(
                f"--precision {precision}: sample texts cost {grown:.2%} more bits per token, more "
                f"than {limit:.0%}; nothing was published"
            )
        move_graph(target, graph)
        return (
            Gate(
                name="bits-per-token",
                limit=limit,
                measured=grown,
                comparison="<=",
                passed=True,
                detail=f"growth by {precision} weights, on {sum(map(len, self._texts))} tokens",
            ),
        )

    def _bits(self, ask: Predict) -> float:
        nats, count = 0.0, 0
        for text in self._texts:
            text = text[:_LONGEST_VERIFIED_TOKENS]
            logits = ask(first_prompts(text[np.newaxis, :-1], self.config))["logits"]
            nats += float(surprisal(logits, text[1:]).sum())
            count += len(text) - 1
        return nats / count / float(np.log(2))


class _Library:
    """The library's own network; in memory while this lives."""

    def __init__(self, folder: Path) -> None:
        import transformers

        plain: Any = transformers.GenerationConfig
        self._network = load_module(transformers.AutoModelForCausalLM, folder)
        # What the checkpoint prefers for sampling would change greedy texts.
        self._network.generation_config = plain()

    def continue_text(self, prompt: Tokens, tokens: int) -> tuple[list[int], NDArray[np.float32]]:
        """The greedy continuation, and the logits [tokens, V] of every choice."""
        import torch

        ids = torch.from_numpy(prompt[np.newaxis])
        with quiet_library():
            found = self._network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                pad_token_id=0,
                return_dict_in_generate=True,
                output_logits=True,
            )
        logits = torch.cat(found.logits).float().numpy()
        return found.sequences[0, len(prompt) :].tolist(), logits


def _tool_calls(template: str) -> Literal["none", "hermes", "llama"]:
    """How the template shows a call that the model made before."""
    if "<tool_call>" in template:
        return "hermes"
    return "llama" if "Environment: ipython" in template else "none"
