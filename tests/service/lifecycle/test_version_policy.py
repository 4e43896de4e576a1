"""The three policies choose as Triton's do, and what is not one of them is refused in words."""

import pytest

from service.lifecycle.version_policy import VersionPolicy

FOUND = (1, 2, 9, 10)


@pytest.mark.parametrize(
    ("text", "candidates", "most"),
    [
        ("latest", [10, 9, 2, 1], 1),
        ("latest=2", [10, 9, 2, 1], 2),
        ("all", [10, 9, 2, 1], None),
        ("specific=1,9,77", [9, 1], None),
        (" specific = 1", None, None),
    ],
)
def test_candidates_are_tried_newest_first_by_number(
    text: str, candidates: list[int] | None, most: int | None
) -> None:
    if candidates is None:
        with pytest.raises(ValueError, match="latest=N"):
            VersionPolicy.parse(text)
        return
    policy = VersionPolicy.parse(text)
    assert policy.candidates(FOUND) == candidates
    assert policy.most == most


@pytest.mark.parametrize(
    "text",
    ["", "newest", "latest=0", "latest=-1", "latest=x", "all=2", "specific=", "specific=1,,2",
     "specific=01", "specific=v1", "specific=1.5", None, 3],
)  # fmt: skip
def test_anything_else_is_refused_with_what_was_expected(text: object) -> None:
    with pytest.raises(ValueError, match="specific=V"):
        VersionPolicy.parse(text)


@pytest.mark.parametrize("text", ["latest=3", "all", "specific=1,3"])
def test_a_policy_reads_what_it_writes(text: str) -> None:
    assert str(VersionPolicy.parse(text)) == text
    assert VersionPolicy.parse(VersionPolicy.parse(text)) == VersionPolicy.parse(text)


def test_one_version_alone_can_be_asked_for() -> None:
    assert VersionPolicy.only(3) == VersionPolicy.parse("specific=3")
