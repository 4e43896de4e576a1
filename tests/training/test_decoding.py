"""Greedy and beam search through a Predict: as transformers searches, and no source minds its neighbours."""

from typing import Any

import numpy as np
import pytest
import torch

from models.transforms.beams import Beam
from tests.training.networks.test_cross_plan import VOCABULARY, tiny_t5
from training.decoding import Writing, lost_lead, search, source_step, write
from training.networks.cross_plan import torch_bundle
from training.networks.seq2seq_t5 import T5Seq2Seq

STOP = 1


@pytest.fixture(scope="module")
def module() -> Any:
    """A head of its own, or a network that learned nothing repeats what it reads."""
    torch.manual_seed(12)
    module = tiny_t5()
    module.lm_head = torch.nn.Linear(48, VOCABULARY, bias=False)
    with torch.no_grad():
        module.lm_head.weight.normal_(std=2.0)
        for name, weight in module.decoder.named_parameters():
            if "EncDecAttention" in name:
                weight.mul_(3.0)
    return module


@pytest.fixture(scope="module")
def sources() -> list[np.ndarray]:
    random = np.random.default_rng(2)
    return [random.integers(2, VOCABULARY, size) for size in (3, 9, 5, 9, 1, 7)]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_answers_are_those_of_transformers(
    module: Any, sources: list[np.ndarray], beams: int, penalty: float
) -> None:
    writing = Writing(0, (STOP,), 12, num_beams=beams, length_penalty=penalty)
    network = T5Seq2Seq(module)
    answers = write(sources, torch_bundle(network), network.sizes, writing)
    if beams == 1 or penalty == 0:
        assert len({len(answer) for answer in answers}) > 1
    for source, answer in zip(sources, answers, strict=True):
        with torch.inference_mode():
            expected = module.generate(
                input_ids=torch.from_numpy(source)[None],
                num_beams=beams,
                length_penalty=penalty,
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=STOP,
                pad_token_id=0,
                early_stopping=False,
            )[0, 1:].tolist()
        if STOP in expected:
            expected = expected[: expected.index(STOP)]
        assert list(answer) == expected


def test_an_answer_is_the_same_alone_and_among_others(
    module: Any, sources: list[np.ndarray]
) -> None:
    network = T5Seq2Seq(module)
    ask = torch_bundle(network)
    for beams in (1, 4):
        writing = Writing(0, (STOP,), 10, num_beams=beams)
        together = write(sources, ask, network.sizes, writing, batch_rows=5)
        alone = [write([source], ask, network.sizes, writing)[0] for source in sources]
        assert together == alone


def test_parting_answers_are_measured_by_the_lead_that_was_lost() -> None:
    table = np.array([[0.0, 3.0, 2.5, 0.0], [5.0, 1.0, 0.0, 0.0]], np.float32)

    def step(rows: np.ndarray, answers: np.ndarray) -> np.ndarray:
        return np.stack([table[min(answers.shape[1] - 1, 1)]] * len(rows))

    writing = Writing(0, (0,), 6)
    mine = search(step, 1, writing)
    assert mine == [Beam((1,), 0.0, has_stopped=True)]

    def lost(*tokens: int) -> float:
        return lost_lead(step, writing, mine, [Beam(tokens, 0.0, has_stopped=True)])

    assert lost(1) == 0
    assert lost(2) == pytest.approx(0.5)
    assert lost(1, 1) == pytest.approx(4.0)
    assert lost() == pytest.approx(3.0)


def test_the_source_is_read_once_and_its_padding_not_at_all(
    module: Any, sources: list[np.ndarray]
) -> None:
    network = T5Seq2Seq(module)
    ask = torch_bundle(network)
    reads = []

    def counting(inputs: Any) -> Any:
        reads.append("input_ids" in inputs)
        return ask(inputs)

    step = source_step(sources, counting, network.sizes)
    answers = np.zeros((2, 3), np.int64)
    both = step(np.array([0, 1]), answers)
    alone = source_step(sources[:1], ask, network.sizes)(np.array([0]), answers[:1])
    assert reads == [True, False]
    assert np.abs(both[0] - alone[0]).max() < 1e-4
