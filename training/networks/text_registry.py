"""From the settings of a run to the encoder that they ask for. Read by all kinds of work on text.

Heads are the works' own (`training.networks.text_encoder` has those for classes and tags).
"""

from typing import TYPE_CHECKING, Any

from torch import nn

from training.networks.text_encoder import Pooling, SequenceClassifier, TokenEncoder
from training.networks.text_settings import TextNetworkConfig
from training.pretrained import TextCheckpoint

if TYPE_CHECKING:
    from training.tasks.text_settings import TextClassificationConfig

# A transformer's vectors have seen the whole text; a recurrent network's strongest trace and average
# say more together than its last state.
POOLING: dict[str, Pooling] = {
    "bag": "mean",
    "rnn": "mean_max",
    "lstm": "mean_max",
    "gru": "mean_max",
    "transformer": "mean_max",
    "pretrained": "mean",
}


def build_encoder(
    config: TextNetworkConfig,
    *,
    vocabulary: int,
    max_tokens: int,
    checkpoint: TextCheckpoint | None = None,
) -> TokenEncoder:
    """Fresh weights, or those of `checkpoint`, which `network=pretrained` needs."""
    match config.network:
        case "pretrained":
            from training.networks.pretrained_encoder import PretrainedEncoder

            assert checkpoint is not None, "the work reads the checkpoint before"
            return PretrainedEncoder(checkpoint)
        case "bag":
            from training.networks.bag import EmbeddingEncoder

            return EmbeddingEncoder(
                vocabulary=vocabulary, width=config.bag.width, dropout=config.dropout
            )
        case "transformer":
            from training.networks.transformer_encoder import TransformerEncoder

            return TransformerEncoder(
                vocabulary=vocabulary,
                max_tokens=max_tokens,
                dropout=config.dropout,
                **dict(config.transformer),
            )
        case cell:
            from training.networks.recurrent import RecurrentEncoder

            return RecurrentEncoder(
                cell, vocabulary=vocabulary, dropout=config.dropout, **dict(config.recurrent)
            )


def build_classifier(
    config: "TextClassificationConfig",
    *,
    vocabulary: int,
    max_tokens: int,
    classes: int,
    checkpoint: TextCheckpoint | None = None,
) -> nn.Module:
    """(ids, mask) → logits [batch, classes]: TextCNN, or an encoder with its pooling and head."""
    if config.network == "cnn":
        from training.networks.text_classifier import TextClassifier

        sizes: dict[str, Any] = dict(config.cnn)
        return TextClassifier(
            vocabulary=vocabulary, classes=classes, dropout=config.dropout, **sizes
        )
    encoder = build_encoder(
        config, vocabulary=vocabulary, max_tokens=max_tokens, checkpoint=checkpoint
    )
    pooling = POOLING[config.network] if config.pooling == "auto" else config.pooling
    return SequenceClassifier(encoder, classes=classes, pooling=pooling, dropout=config.dropout)


def is_limited(config: TextNetworkConfig) -> bool:
    """True when the network takes texts up to its own last position only."""
    return config.network in ("transformer", "pretrained")
