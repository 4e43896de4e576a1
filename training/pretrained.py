"""Networks with weights that others trained, for transfer learning: text encoders and their tokenizers.

Works ask for them when `pretrained.source` is set. The module is transformers' own; what surrounds it
(heads, pooling, loss) is ours. Nothing is downloaded, and code in a checkpoint is never run.
"""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from torch import nn

from training.checkpoints import checkpoint_folder, load_module, read_json
from training.errors import DataError
from training.networks.dropout import quicken_dropout

TOKENIZER_FILE = "tokenizer.json"
_LONGEST_TOKENS = 1_048_576
# Where several names mean one thing, the first that a tokenizer has is taken.
_ROLES = {
    "start": ("cls_token", "bos_token"),
    "separator": ("sep_token", "eos_token"),
    "padding": ("pad_token",),
    "mask": ("mask_token",),
    "unknown": ("unk_token",),
}


@dataclass(frozen=True)
class SpecialIds:
    """Token ids by their role; None where the tokenizer has none."""

    start: int | None = None
    separator: int | None = None
    padding: int | None = None
    mask: int | None = None
    unknown: int | None = None


@dataclass(frozen=True)
class TextCheckpoint:
    """`module(input_ids=…, attention_mask=…)[0]` is the last layer, float [B, T, hidden]."""

    folder: Path
    module: nn.Module
    tokenizer_json: str  # neither truncates nor pads; adds the special tokens
    special: SpecialIds
    hidden: int
    max_tokens: int  # special tokens included
    takes_type_ids: bool  # the second text of a pair has ids of 1

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Weights from the input to the output: embeddings, each layer, what follows the last."""
        return module_layer_groups(self.module)


def load_text_encoder(source: str) -> TextCheckpoint:
    """Read an encoder and its tokenizer; `source` as in `checkpoint_folder`. Raises UsageError,
    DataError naming the file that is missing or wrong."""
    from transformers import AutoModel

    folder = checkpoint_folder(source)
    tokenizer_json, special = read_tokenizer(folder)
    # Eager attention is plain matrix products, which ONNX Runtime fuses and every length shares.
    module = load_module(AutoModel, folder, optional=("pooler",), attn_implementation="eager")
    quicken_dropout(module)
    if getattr(module.config, "is_encoder_decoder", False):
        raise DataError(
            f"{folder}: a {module.config.model_type} model reads and writes; an encoder is needed"
        )
    if getattr(module, "pooler", None) is not None:
        module.pooler = None  # trained for another task, and every head here pools itself
    hidden = getattr(module.config, "hidden_size", None)
    if not isinstance(hidden, int) or "input_ids" not in _arguments(module):
        raise DataError(f"{folder}: a {module.config.model_type} model does not read text")
    require_embeddings(folder, module, tokenizer_json)
    return TextCheckpoint(
        folder=folder,
        module=module,
        tokenizer_json=tokenizer_json,
        special=special,
        hidden=hidden,
        max_tokens=max_tokens(folder, module),
        takes_type_ids="token_type_ids" in _arguments(module)
        and getattr(module.config, "type_vocab_size", 0) > 1,
    )


def module_layer_groups(module: nn.Module) -> list[list[nn.Parameter]]:
    """Weights from the input to the output. The longest list of modules is taken for the layers."""
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    layers = max(lists, key=len, default=None)
    if layers is None or not len(layers):
        return [list(module.parameters())]
    groups = [list(layer.parameters()) for layer in layers]
    inner = {id(weight) for group in groups for weight in group}
    before: list[nn.Parameter] = []
    after: list[nn.Parameter] = []
    has_passed = False
    for weight in module.parameters():
        if id(weight) in inner:
            has_passed = True
        else:
            (after if has_passed else before).append(weight)
    return [group for group in (before, *groups, after) if group]


def read_tokenizer(folder: Path) -> tuple[str, SpecialIds]:
    """A checkpoint's tokenizer, which neither cuts nor pads. Raises DataError naming the file."""
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise DataError(
            f"{folder}: there is no {TOKENIZER_FILE}; make one with transformers, "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
    document = read_json(path)
    document["truncation"] = document["padding"] = None
    text = json.dumps(document, ensure_ascii=False)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises plain Exception
        raise DataError(f"{path}: tokenizers cannot read it: {error}") from error
    names = read_json(folder / "tokenizer_config.json")
    names = read_json(folder / "special_tokens_map.json") | {
        key: value for key, value in names.items() if value is not None
    }
    ids = {role: _first_id(tokenizer, names, keys) for role, keys in _ROLES.items()}
    return text, SpecialIds(**ids)


def _first_id(tokenizer: Tokenizer, names: dict[str, object], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        name = names.get(key)
        content = name.get("content") if isinstance(name, dict) else name
        if isinstance(content, str):
            found: int | None = tokenizer.token_to_id(content)
            if found is not None:
                return found
    return None


def _arguments(module: nn.Module) -> set[str]:
    return set(inspect.signature(module.forward).parameters)


def require_embeddings(folder: Path, module: nn.Module, tokenizer_json: str) -> None:
    rows = module.get_input_embeddings().num_embeddings  # type: ignore[operator]
    vocabulary = Tokenizer.from_str(tokenizer_json).get_vocab()
    highest = max(vocabulary.values(), default=-1)
    if highest >= rows:
        raise DataError(
            f"{folder}: the tokenizer has ids up to {highest}, but the network knows {rows} tokens"
        )


def max_tokens(folder: Path, module: nn.Module) -> int:
    """What the position embeddings and the tokenizer's own limit allow."""
    limits = [_LONGEST_TOKENS]
    positions = getattr(module.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(positions - _position_offset(module))
    said = read_json(folder / "tokenizer_config.json").get("model_max_length")
    if isinstance(said, int | float) and 0 < said < _LONGEST_TOKENS:
        limits.append(int(said))
    return min(limits)


def _position_offset(module: nn.Module) -> int:
    """RoBERTa and its kin count positions from the padding id on, and so have fewer than rows."""
    for name, part in module.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding):
            return 0 if part.padding_idx is None else part.padding_idx + 1
    return 0
