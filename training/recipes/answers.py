"""Recipe `answers`: where in a passage is the answer to a question, also for questions in SQuAD's form."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import RecurrentConfig
from training.tasks.question_settings import QuestionAnsweringConfig


def answers() -> QuestionAnsweringConfig:
    """A bidirectional GRU, attention to the question, and one more layer that reads both."""
    return QuestionAnsweringConfig(
        recipe="answers",
        task="question-answering",
        name="answers",
        network="gru",
        recurrent=RecurrentConfig(width=64, units=48, layers=1),
        reader_units=48,
        epochs=6,
        batch_size=32,
        cpu_threads=1,
        dropout=0.1,
        vocabulary=1024,
        optim=OptimConfig(learning_rate=4e-3),
        gates=GateConfig(accuracy_floor=0.8, beats=("word-overlap",)),
        batching=Batching(max_batch_size=32, max_batch_tokens=8192),
    )
