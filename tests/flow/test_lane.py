"""Commands in forked processes: their exit code and all that they say come back."""

import pytest

from docs.examples import lane

pytestmark = pytest.mark.slow  # the first process imports PyTorch


def test_what_a_command_says_and_its_code_come_back() -> None:
    code, told = lane.run(["recipes"])
    assert code == 0
    assert "digits-vae" in told


def test_a_mistake_is_told_as_on_the_command_line() -> None:
    code, told = lane.run(["train", "nothing-like-it"])
    assert code == 2
    assert told.startswith("error: ")
    assert "nothing-like-it" in told
