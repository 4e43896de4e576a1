"""Small bundles of every kind for tests of the service. Without `model` their graph cannot be opened."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from models.blocks import (
    ClassConditionPreprocessing,
    ClassificationPostprocessing,
    DiffusionPreprocessing,
    GenerationPostprocessing,
    ImagePostprocessing,
    ImagePreprocessing,
    PromptPreprocessing,
    ReconstructionPostprocessing,
    TensorPostprocessing,
    TensorPreprocessing,
    TextPreprocessing,
)
from models.bundle import Bundle
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import Batching, ManifestDraft, TensorSpec
from models.publish import publish

DIGITS = [str(digit) for digit in range(10)]
LANGUAGES = ["de", "en", "sv"]
CONTEXT_TOKENS = 64
CHAT_CONTEXT_TOKENS = 512
NOISE_SIZE = 4


def byte_tokenizer() -> str:
    """One token a UTF-8 byte, reversible; as the JSON that a bundle carries."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.to_str()


def _spec(name: str, dtype: DataType, *shape: int | str, pad: bool = False) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, pad_axes=("sequence",) if pad else ())


def _publish(
    repository: Path,
    draft: ManifestDraft,
    files: Mapping[str, str],
    golden: Golden | None,
    model: bytes | None,
) -> Bundle:
    staged = repository.parent / f"staged-{draft.name}"
    staged.mkdir(parents=True, exist_ok=True)
    (staged / "model.onnx").write_bytes(model or b"never opened")
    for file, text in files.items():
        (staged / file).write_text(text)
    if golden is not None:
        if model is not None:
            golden = Golden(golden.inputs, answers_of(model, golden))
        golden.save(staged / "golden.npz")
    return publish(repository, draft, staged)


def answers_of(model: bytes, golden: Golden) -> dict[str, np.ndarray]:
    names = list(golden.outputs)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, golden.inputs), strict=True))


def digits_bundle(repository: Path, name: str = "digits", model: bytes | None = None) -> Bundle:
    """Image classification: 8×8 grey pixels → 10 digits; the example is a white diagonal."""
    pixels = np.eye(8, dtype=np.float32)[None, None]
    draft = ManifestDraft(
        name=name,
        task="image-classification",
        description="reads digits",
        inputs=(_spec("image", DataType.FLOAT, "batch", 1, 8, 8),),
        outputs=(_spec("logits", DataType.FLOAT, "batch", 10),),
        preprocessing=ImagePreprocessing(input="image", height=8, width=8, channel_order="L"),
        postprocessing=ClassificationPostprocessing(top_k=3),
        batching=Batching(max_batch_size=4),
    )
    golden = Golden({"image": pixels}, {"logits": np.zeros((1, 10), np.float32)})
    return _publish(repository, draft, {"labels.txt": "\n".join(DIGITS)}, golden, model)


def language_bundle(
    repository: Path, name: str = "language-id", model: bytes | None = None
) -> Bundle:
    """Text classification over bytes; at most 32 tokens."""
    tokenizer = byte_tokenizer()
    ids = np.asarray(Tokenizer.from_str(tokenizer).encode("hej där").ids, np.int64)[None]
    draft = ManifestDraft(
        name=name,
        task="text-classification",
        inputs=(
            _spec("input_ids", DataType.INT64, "batch", "sequence", pad=True),
            _spec("attention_mask", DataType.INT64, "batch", "sequence", pad=True),
        ),
        outputs=(_spec("logits", DataType.FLOAT, "batch", 3),),
        preprocessing=TextPreprocessing(max_tokens=32),
        postprocessing=ClassificationPostprocessing(),
        batching=Batching(max_batch_size=4),
    )
    golden = Golden(
        {"input_ids": ids, "attention_mask": np.ones_like(ids)},
        {"logits": np.zeros((1, 3), np.float32)},
    )
    files = {"labels.txt": "\n".join(LANGUAGES), "tokenizer.json": tokenizer}
    return _publish(repository, draft, files, golden, model)


def writer_bundle(
    repository: Path,
    name: str = "writer",
    bos_token_id: int | None = None,
    model: bytes | None = None,
) -> Bundle:
    """Text generation over bytes; prompt and answer share 64 tokens."""
    draft = ManifestDraft(
        name=name,
        task="text-generation",
        runner="generation",
        inputs=(_spec("ids", DataType.INT64, "batch", "sequence"),),
        outputs=(_spec("logits", DataType.FLOAT, "batch", 256),),
        preprocessing=PromptPreprocessing(context_tokens=CONTEXT_TOKENS, bos_token_id=bos_token_id),
        postprocessing=GenerationPostprocessing(stop_token_ids=(0,), default_max_tokens=16),
    )
    return _publish(repository, draft, {"tokenizer.json": byte_tokenizer()}, None, model)


def painter_bundle(repository: Path, name: str = "painter", model: bytes | None = None) -> Bundle:
    """Image generation: a digit's name and 4 noise values → 8×8 grey pixels, shown four times as large."""
    draft = ManifestDraft(
        name=name,
        task="image-generation",
        inputs=(
            _spec("noise", DataType.FLOAT, "batch", NOISE_SIZE),
            _spec("label", DataType.INT64, "batch"),
        ),
        outputs=(_spec("image", DataType.FLOAT, "batch", 1, 8, 8),),
        preprocessing=ClassConditionPreprocessing(noise_size=NOISE_SIZE),
        postprocessing=ImagePostprocessing(channel_order="L", upscale=4),
        batching=Batching(max_batch_size=4),
    )
    return _publish(repository, draft, {"labels.txt": "\n".join(DIGITS)}, None, model)


def diffuser_bundle(
    repository: Path, name: str = "diffuser", model: bytes | None = None, max_batch_size: int = 4
) -> Bundle:
    """As `painter_bundle`, by diffusion: four steps unless a caller wants another number, at most fifty."""
    picture = ("batch", 1, 8, 8)
    draft = ManifestDraft(
        name=name,
        task="image-generation",
        inputs=(
            _spec("x", DataType.FLOAT, *picture),
            _spec("t", DataType.FLOAT, "batch"),
            _spec("label", DataType.INT64, "batch"),
            _spec("guidance", DataType.FLOAT, "batch"),
        ),
        outputs=(_spec("prediction", DataType.FLOAT, *picture),),
        preprocessing=DiffusionPreprocessing(formulation="flow", steps=4, max_steps=50),
        postprocessing=ImagePostprocessing(
            output="prediction", channel_order="L", upscale=4, low=-1.0, high=1.0
        ),
        batching=Batching(max_batch_size=max_batch_size),
    )
    return _publish(repository, draft, {"labels.txt": "\n".join(DIGITS)}, None, model)


def redrawer_bundle(
    repository: Path, name: str = "redrawer", model: bytes | None = None, is_between: bool = False
) -> Bundle:
    """Image reconstruction: 8×8 grey pixels → the same without noise, or what lies between two pictures."""
    picture = ("batch", 1, 8, 8)
    inputs = [_spec("image", DataType.FLOAT, *picture)]
    golden: dict[str, np.ndarray] = {"image": np.zeros((1, 1, 8, 8), np.float32)}
    if is_between:
        inputs += [
            _spec("image_to", DataType.FLOAT, *picture),
            _spec("mix", DataType.FLOAT, "batch"),
        ]
        golden |= {"image_to": golden["image"], "mix": np.zeros(1, np.float32)}
    draft = ManifestDraft(
        name=name,
        task="image-reconstruction",
        inputs=tuple(inputs),
        outputs=(_spec("redrawn", DataType.FLOAT, *picture),),
        preprocessing=ImagePreprocessing(
            input="image", height=8, width=8, channel_order="L", mean=(0.25,), std=(0.5,)
        ),
        postprocessing=ReconstructionPostprocessing(
            picture=ImagePostprocessing(output="redrawn", channel_order="L"),
            second_input="image_to" if is_between else None,
            mix_input="mix" if is_between else None,
            noise_level=0.0 if is_between else 0.3,
        ),
        batching=Batching(max_batch_size=4),
    )
    answers = {"redrawn": np.zeros((1, 1, 8, 8), np.float32)}
    return _publish(repository, draft, {}, Golden(golden, answers), model)


def tensor_bundle(repository: Path, name: str = "double", model: bytes | None = None) -> Bundle:
    """A bare graph with one fixed input of 3 numbers."""
    draft = ManifestDraft(
        name=name,
        task="tensor",
        inputs=(_spec("x", DataType.FLOAT, "batch", 3),),
        outputs=(_spec("y", DataType.FLOAT, "batch", 3),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=4),
    )
    rows = np.arange(3, dtype=np.float32)[None]
    return _publish(repository, draft, {}, Golden({"x": rows}, {"y": rows * 2}), model)


BUNDLES = {
    "image-classification": digits_bundle,
    "text-classification": language_bundle,
    "text-generation": writer_bundle,
    "image-generation": painter_bundle,
    "tensor": tensor_bundle,
}


CHAT_TEMPLATE = """{%- if tools %}{{- 'tools:' + (tools | tojson) + '\\n' }}{% endif %}
{%- for message in messages %}
{%- if loop.first and message.role == 'assistant' %}
{{- raise_exception('a conversation begins with a question') }}
{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>' + (call.function | tojson) + '</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def chat_bundle(
    repository: Path, name: str = "chat", model: bytes | None = None, tool_calls: str = "hermes"
) -> Bundle:
    """A conversation over bytes and two control tokens; prompt and answer share 512 tokens."""
    tokenizer = Tokenizer.from_str(byte_tokenizer())
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    preprocessing = PromptPreprocessing.model_validate(
        {
            "context_tokens": CHAT_CONTEXT_TOKENS,
            "chat_template": "chat_template.jinja",
            "tool_call_format": tool_calls,
        }
    )
    draft = ManifestDraft(
        name=name,
        task="text-generation",
        runner="generation",
        inputs=(_spec("ids", DataType.INT64, "batch", "sequence"),),
        outputs=(_spec("logits", DataType.FLOAT, "batch", 258),),
        preprocessing=preprocessing,
        postprocessing=GenerationPostprocessing(
            stop_token_ids=(tokenizer.token_to_id("<|im_end|>"),), default_max_tokens=32
        ),
    )
    files = {"tokenizer.json": tokenizer.to_str(), "chat_template.jinja": CHAT_TEMPLATE}
    return _publish(repository, draft, files, None, model)
