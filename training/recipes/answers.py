"""Recipes `answers` and `answers-pretrained`: where in a passage is the answer to a question."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import RecurrentConfig
from training.tasks.question_settings import FactsConfig, QuestionAnsweringConfig

_BATCHING = Batching(max_batch_size=32, max_batch_tokens=8192)


def answers() -> QuestionAnsweringConfig:
    """A bidirectional GRU, attention to the question, and one more layer that reads both."""
    return QuestionAnsweringConfig(
        recipe="answers",
        task="question-answering",
        name="answers",
        network="gru",
        recurrent=RecurrentConfig(width=64, units=48, layers=1),
        reader_units=48,
        epochs=4,
        batch_size=32,
        cpu_threads=1,
        vocabulary=1024,
        optim=OptimConfig(learning_rate=4e-3),
        gates=GateConfig(accuracy_floor=0.8, beats=("word-overlap",)),
        batching=_BATCHING,
    )


def answers_pretrained() -> QuestionAnsweringConfig:
    """Without a checkpoint it starts from random weights made on the spot, to show the way: those learn
    what kind of words an answer is, and hardly to compare."""
    return QuestionAnsweringConfig(
        recipe="answers-pretrained",
        task="question-answering",
        name="answers-pretrained",
        network="pretrained",
        epochs=4,
        batch_size=32,
        cpu_threads=1,
        facts=FactsConfig(train=3000),
        max_tokens=128,
        stride_tokens=32,
        optim=OptimConfig(learning_rate=2e-3),
        gates=GateConfig(beats=("word-overlap",)),
        batching=_BATCHING,
    )
