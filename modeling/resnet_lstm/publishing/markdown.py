"""Markdown as cards need it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..plain_text import printable


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; a `|` in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    escaped = ([str(cell).replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


def literal(text: str) -> str:
    """A name as it is, whatever it holds: no link, no emphasis, no HTML. (`table` sees to `|`.)"""
    escaped = re.sub(r"([\\`*\[\]~#])", r"\\\1", printable(text))
    return html.escape(escaped, quote=False)


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)
