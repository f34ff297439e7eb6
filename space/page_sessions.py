"""What is remembered of a visitor's page, and forgotten with it."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass

# So long after a visitor's last step all of it is forgotten.
KEPT_SECONDS = 60 * 60


@dataclass(eq=False)
class PageSession(ABC):
    """Kept by Gradio in the server's memory, for one page alone.

    Attributes:
        page: What the server calls the page that it belongs to; None for a program's.
    """

    page: str | None = None

    def __post_init__(self) -> None:
        _sessions.add(self)

    @abstractmethod
    def forget(self) -> None:
        """Let go of everything."""


_sessions: weakref.WeakSet[PageSession] = weakref.WeakSet()


def forget_page(page: str | None) -> None:
    """A page was closed: let go of what was remembered of it."""
    for session in list(_sessions):
        if page is not None and session.page == page:
            session.forget()
