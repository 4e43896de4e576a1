"""Recipes `sentences` and `reranker`: texts that belong together, by two vectors or read side by side."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import TransformerConfig
from training.tasks.pair_settings import (
    ParaphrasesConfig,
    SentenceEmbeddingConfig,
    TextSimilarityConfig,
)


def sentences() -> SentenceEmbeddingConfig:
    """Large batches: every other row of a batch is a wrong answer to learn from."""
    return SentenceEmbeddingConfig(
        recipe="sentences",
        task="sentence-embedding",
        name="sentences",
        network="transformer",
        transformer=TransformerConfig(width=64, layers=2, heads=4, inner=128),
        epochs=2,
        batch_size=64,
        cpu_threads=1,
        vocabulary=2048,
        matryoshka=(32, 16),
        optim=OptimConfig(learning_rate=2e-3),
        gates=GateConfig(accuracy_floor=0.9, beats=("tf-idf",)),
        batching=Batching(max_batch_size=32, max_batch_tokens=8192),
    )


def reranker() -> TextSimilarityConfig:
    """Triplets whose wrong text differs in one part: only reading both texts together tells it."""
    return TextSimilarityConfig(
        recipe="reranker",
        task="text-similarity",
        name="reranker",
        network="transformer",
        transformer=TransformerConfig(width=64, layers=2, heads=4, inner=128),
        paraphrases=ParaphrasesConfig(kind="triplet"),
        epochs=3,
        batch_size=32,
        cpu_threads=1,
        dropout=0.0,  # with 0.1 it takes three times as many steps to find out what to compare
        vocabulary=2048,
        optim=OptimConfig(learning_rate=3e-3),
        gates=GateConfig(accuracy_floor=0.9, beats=("tf-idf",)),
        batching=Batching(max_batch_size=32, max_batch_tokens=8192),
    )
