"""From the settings of a run to the encoder that they ask for. Read by all kinds of work on text.

Heads are the works' own (`training.networks.text_encoder` has those for classes and tags).
"""

from training.networks.text_encoder import Pooling, TokenEncoder
from training.networks.text_settings import TextNetworkConfig
from training.pretrained import TextCheckpoint

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
