"""What the names of classes must be, so that none is two and none does harm where it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..plain_text import csv_cell, printable
from .video_folder import DatasetError

# The class of clips that show none of the actions.
BACKGROUND = "background"


def is_background(label: str) -> bool:
    """Whether this is the class of clips that show none of the actions."""
    return label.casefold() == BACKGROUND


def background_label_id(labels: Sequence[str]) -> int | None:
    """The id of the class of clips that show none of the actions; None where there is no such class."""
    return next((index for index, label in enumerate(labels) if is_background(label)), None)


def check_class_names(labels: Iterable[str], place: str | Path) -> None:
    """See that no two labels are probably meant to be one, and that each is plain text.

    Args:
        labels: Each once.
        place: Where they come from, for the message.

    Raises:
        DatasetError: Two differ by upper and lower case or blanks alone; or one holds control characters, or would be
            a formula in the tables that it stands in.
    """
    seen: dict[str, str] = {}
    for label in labels:
        check_plain_name(label, place)
        twin = seen.setdefault("".join(label.split()).casefold(), label)
        if twin != label:
            raise DatasetError(
                f"{place}: the classes {twin!r} and {label!r} differ by case or blanks alone. Make them one, or "
                "rename one of them."
            )


def check_plain_name(label: str, place: str | Path) -> None:
    """See that a label does nothing where it is shown.

    Raises:
        DatasetError: It holds control characters, or would be a formula in a table.
    """
    if csv_cell(label) != label:
        raise DatasetError(
            f"{place}: the class {printable(label)!r} begins with one of = + - @, or holds control characters, "
            "which spreadsheets and terminals would act on. Rename it."
        )


def check_class_folders(folders: Iterable[Path]) -> None:
    """See that no class is there twice through a link.

    Raises:
        DatasetError: Two of the folders are the same place.
    """
    seen: dict[Path, Path] = {}
    for folder in folders:
        twin = seen.setdefault(folder.resolve(), folder)
        if twin != folder:
            raise DatasetError(f"{folder}: a link to the same folder as the class {twin.name}. Remove one of the two.")
