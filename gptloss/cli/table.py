"""Tables of plain text, with straight columns."""

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    """Lines of cells as text with straight columns; those in `left` are flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
