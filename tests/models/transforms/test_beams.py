"""Beam search finds what looking at everything finds, and ends by its stated rules."""

import itertools

import numpy as np
import pytest

from models.transforms.beams import BeamSearch
from models.transforms.scores import log_softmax

STOP = 0


def table(seed: int, vocabulary: int = 4) -> dict[tuple[int, ...], np.ndarray]:
    """A language: log-probabilities after every answer of up to three tokens."""
    generator = np.random.default_rng(seed)
    answers = [
        answer
        for length in range(4)
        for answer in itertools.product(range(1, vocabulary), repeat=length)
    ]
    return {answer: log_softmax(generator.normal(size=vocabulary) * 2) for answer in answers}


def search(
    language: dict[tuple[int, ...], np.ndarray], beams: int, penalty: float, most: int = 3
) -> BeamSearch:
    found = BeamSearch(beams, penalty, [STOP], most)
    while not found.is_done:
        before = [beam.tokens for beam in found.live]
        parents = found.advance(np.stack([language[tokens] for tokens in before]))
        for beam, parent in zip(found.live, parents, strict=True):
            assert beam.tokens[:-1] == before[parent]
    return found


def everything(
    language: dict[tuple[int, ...], np.ndarray], penalty: float
) -> dict[tuple[int, ...], float]:
    """The score of every answer of at most three tokens."""
    scores: dict[tuple[int, ...], float] = {}
    for answer in language:
        steps = sum(float(language[answer[:i]][token]) for i, token in enumerate(answer))
        if len(answer) == 3:  # cut off by max_tokens
            scores[answer] = steps / 3**penalty
        else:
            scores[answer] = (steps + float(language[answer][STOP])) / (len(answer) + 1) ** penalty
    return scores


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_with_as_many_beams_as_answers_the_best_is_found(seed: int, penalty: float) -> None:
    language = table(seed)
    scores = everything(language, penalty)
    best = search(language, 64, penalty).best
    winner = max(scores, key=lambda answer: scores[answer])
    assert best.tokens == winner
    assert best.score == pytest.approx(scores[winner], abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_one_beam_takes_the_likeliest_token_each_time(seed: int) -> None:
    language = table(seed)
    greedy: tuple[int, ...] = ()
    while len(greedy) < 3:
        token = int(language[greedy].argmax())
        if token == STOP:
            break
        greedy = (*greedy, token)
    assert search(language, 1, 0.0).best.tokens == greedy


def test_answers_end_at_the_limit_and_say_so() -> None:
    language = {
        answer: np.where(np.arange(4) == STOP, -50.0, row) for answer, row in table(1).items()
    }
    found = search(language, 2, 1.0)
    assert len(found.best.tokens) == 3
    assert not found.best.has_stopped


def test_a_larger_penalty_prefers_longer_answers() -> None:
    short, long = (search(table(3), 64, penalty).best.tokens for penalty in (-2.0, 4.0))
    assert len(short) < len(long)


def test_forbidden_tokens_are_never_taken_even_where_nothing_else_is_left() -> None:
    found = BeamSearch(2, 1.0, [STOP], 3)
    found.advance(np.array([[-2.0, -0.5, -1.0, -np.inf]]))
    assert [beam.tokens for beam in found.live] == [(1,), (2,)]
    found.advance(np.full((2, 4), -np.inf))
    assert found.is_done
    assert found.best.tokens == (1,)


def test_among_equals_the_earlier_beam_and_the_lower_token_win() -> None:
    found = BeamSearch(3, 1.0, [STOP], 5)
    found.advance(np.full((1, 6), -1.0))
    assert [beam.tokens for beam in found.live] == [(1,), (2,), (3,)]
    found.advance(np.full((3, 6), -1.0))
    assert [beam.tokens for beam in found.live] == [(1, 1), (1, 2), (1, 3)]
