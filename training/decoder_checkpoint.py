"""Decoders that earlier runs trained, to start another from: weights, sizes and tokenizer from one file.

Written by `training.tasks.language_module`, whose checkpoints say what they belong to. Read without
executing anything (`weights_only`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from training.errors import DataError
from training.networks.decoder import Decoder, DecoderConfig

CHECKPOINT_FILE = "checkpoint.pt"
_RUN_FILE = "best.pt"
_PREFIX = "network."


@dataclass(frozen=True)
class DecoderCheckpoint:
    """`weights` by their names within the Decoder."""

    config: DecoderConfig
    tokenizer: Tokenizer
    weights: dict[str, torch.Tensor]

    def decoder(self, config: DecoderConfig, vocabulary: int) -> Decoder:
        """A network with these weights; rows of tokens beyond the checkpoint's are drawn about the mean
        of its own, so that they begin as likely as any."""
        network = Decoder(config, vocabulary)
        state = network.state_dict()
        for name, weight in self.weights.items():
            known = state[name]
            if name in ("embedding.weight", "head.weight") and len(known) > len(weight):
                noise = 0.1 * weight.std() * torch.randn(len(known) - len(weight), weight.shape[1])
                state[name] = torch.cat((weight, weight.mean(dim=0) + noise))
            else:
                state[name] = weight
        network.load_state_dict(state)
        return network


def load_decoder(source: str) -> DecoderCheckpoint:
    """`source` is a run's folder, a bundle with a checkpoint, or the file. Raises DataError."""
    path = Path(source).expanduser()
    if path.is_dir():
        versions = sorted(
            path.glob(f"[0-9]*/{CHECKPOINT_FILE}"), key=lambda file: file.parent.name.zfill(9)
        )
        places = [path / _RUN_FILE, path / CHECKPOINT_FILE, *reversed(versions)]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise DataError(
                f"base {source}: neither {_RUN_FILE} of a run nor {CHECKPOINT_FILE} of a bundle is "
                "there; publish the base with --set checkpoint=true"
            )
        path = found
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        about = state["_extra_state"]
        config = DecoderConfig.model_validate(json.loads(about["decoder"]))
        tokenizer = Tokenizer.from_str(about["tokenizer"])
    except Exception as error:  # torch, pickle, tokenizers: the run ends with one line
        raise DataError(f"base {source}: no checkpoint of a decoder ({error})") from error
    weights = {
        name.removeprefix(_PREFIX): value
        for name, value in state.items()
        if name.startswith(_PREFIX)
    }
    if any("lora_" in name for name in weights):
        raise DataError(f"base {source}: holds adapters; start from a model that learned whole")
    return DecoderCheckpoint(config, tokenizer, weights)
