"""Tables for a terminal: columns as wide as their widest cell, two spaces between them."""

from collections.abc import Sequence


def aligned(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Lines without trailing spaces; every row has as many cells as `head`."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)
