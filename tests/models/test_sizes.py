"""Sizes read as people say them."""

from models.sizes import human_bytes


def test_bytes_are_shown_in_fitting_units() -> None:
    assert [human_bytes(size) for size in (10, 1536, 3 << 20, 5 << 30)] == [
        "10 B",
        "1.5 KiB",
        "3.0 MiB",
        "5.0 GiB",
    ]
