"""The checkpoint that a run on text starts from: the one it names, or one made on the spot.

Used by the works whose `network` may be `pretrained`.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from models.errors import UsageError
from training.networks.text_settings import TextNetworkConfig
from training.pretrained import TextCheckpoint, load_text_encoder
from training.sample_checkpoint import write_sample_encoder


class CheckpointSource:
    """Loads the same checkpoint as often as it is asked: every training starts from untouched weights.

    `texts` are the recipe's own training texts; None with `--data`, where a checkpoint must be named:
    random weights would only look like transfer learning.
    """

    def __init__(self, config: TextNetworkConfig, texts: Sequence[str] | None) -> None:
        self._source = config.pretrained.source
        self._texts, self._seed = texts, config.seed
        if self._source is None and texts is None:
            raise UsageError(
                "network pretrained: name a checkpoint, --pretrained PATH_OR_ID (a folder with "
                "config.json, model.safetensors and tokenizer.json, or a package that has one)"
            )

    def load(self) -> TextCheckpoint:
        """Raises UsageError, DataError naming the file."""
        if self._source is not None:
            return load_text_encoder(self._source)
        assert self._texts is not None
        with tempfile.TemporaryDirectory(prefix="slipway-sample-checkpoint-") as folder:
            write_sample_encoder(Path(folder), self._texts, seed=self._seed)
            return load_text_encoder(folder)

    def summary(self, checkpoint: TextCheckpoint) -> str:
        """For the table of what was read."""
        if self._source is None:
            return "a small BERT with random weights, made here; --pretrained names a real one"
        kind = getattr(checkpoint.module.config, "model_type", "transformers")
        return f"{self._source}, {kind}, {checkpoint.hidden} wide, up to {checkpoint.max_tokens} tokens"
