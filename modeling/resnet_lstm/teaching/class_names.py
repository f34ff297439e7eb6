"""The names of the classes that a model knows, and of those that it shall learn."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..data.class_names import check_plain_name
from .errors import TeachingError


def names_after_teaching(known: Iterable[str], taught: Iterable[str]) -> list[str]:
    """The names of a taught model's classes in the order of their ids: those it knows, then those that are new to it.

    Args:
        known: What it keeps.
        taught: What it is taught; a class of a name that it knows is taught further.

    Raises:
        DatasetError: A name that is taught holds control characters, or would be a formula in a table.
        TeachingError: A name is empty, two differ in case, blanks, dashes or underscores alone, or fewer than two
            classes would come of it.
    """
    taught = list(taught)
    for name in taught:
        check_plain_name(name, "teach")
    names = list(dict.fromkeys([*known, *taught]))
    name_of: dict[str, str] = {}
    for name in names:
        alike = re.sub(r"[\s_-]+", "", name.casefold())
        if not alike:
            raise TeachingError(f"class {name!r}: has no name.")
        other = name_of.setdefault(alike, name)
        if other != name:
            raise TeachingError(
                f"class {name!r}: nearly the name of {other!r}. Write it so if the same is meant, or choose another."
            )
    if len(names) < 2:
        raise TeachingError(
            f"{', '.join(names) or 'no class'}: a model tells two classes apart at the least. Teach it another one, "
            "for example of clips in which nothing of the kind happens."
        )
    return names
