"""Names of files and labels as text that is shown and does nothing: no escape codes, no formulas."""

from __future__ import annotations

import logging

# A cell that begins so is a formula to spreadsheets (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: object) -> str:
    """A text in one line for a terminal or a log.

    What is no letter, sign or blank (control characters, such as those that colour or clear a terminal, and those that
    turn the direction of writing) is written as its code, `\\x1b`.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(text)
    )


def csv_cell(text: str) -> str:
    """A text in one line for a table: an apostrophe keeps spreadsheets from taking it for a formula."""
    cell = printable(text)
    return f"'{cell}" if text.startswith(_FORMULA_STARTS) else cell


def printable_lines(text: str) -> str:
    """`printable`, for a text of several lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


class PlainFormatter(logging.Formatter):
    """Lets no name in a message act on the terminal that the log is shown in."""

    def format(self, record: logging.LogRecord) -> str:
        """As in `logging`, with control characters written as their codes."""
        return printable_lines(super().format(record))
