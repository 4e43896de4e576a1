"""Guesses: what followed the same words before, and nothing where they are new."""

from service.generation.lookup import PromptLookup


def test_what_followed_the_last_words_before_is_proposed() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 6, 1, 2, 3]).propose(2) == [4, 5]


def test_nothing_is_proposed_after_new_words() -> None:
    assert PromptLookup([1, 2, 3, 4]).propose(3) == []
    assert PromptLookup([]).propose(3) == []


def test_the_longer_agreement_wins() -> None:
    assert PromptLookup([7, 2, 3, 8, 9, 2, 3, 5, 7, 2, 3]).propose(1) == [8]


def test_the_latest_occurrence_wins() -> None:
    assert PromptLookup([1, 2, 8, 1, 2, 9, 1, 2]).propose(1) == [9]


def test_it_grows_with_the_answer() -> None:
    lookup = PromptLookup([1, 2, 3])
    lookup.extend([9, 1])
    assert lookup.propose(4) == []
    lookup.extend([2])
    assert len(lookup) == 6
    assert lookup.propose(4) == [3, 9, 1, 2]
    assert lookup.propose(0) == []
