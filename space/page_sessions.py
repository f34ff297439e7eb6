"""What is remembered of a visitor's page or of a program, and forgotten with it."""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import gradio as gr

from limits import VideoRefusedError

# So long after a visitor's last step all of it is forgotten.
KEPT_SECONDS = 60 * 60
_LOOK_EVERY_SECONDS = 60


@dataclass(eq=False)
class PageSession(ABC):
    """Kept in the server's memory, for one page or one program alone.

    Attributes:
        page: What the server calls the connection of the page or program that it belongs to; None where many come by
            one connection.
    """

    page: str | None = None

    def __post_init__(self) -> None:
        with _lock:
            _sessions.add(self)

    @abstractmethod
    def forget(self) -> None:
        """Let go of everything."""


Session = TypeVar("Session", bound=PageSession)

_lock = threading.RLock()
_sessions: weakref.WeakSet[PageSession] = weakref.WeakSet()
# Those of programs by their kind and key, with the moment of the last step. A page's are kept by Gradio.
_of_programs: dict[tuple[type[PageSession], str], tuple[PageSession, float]] = {}


def forget_page(page: str | None) -> None:
    """A page or a program's connection was closed: let go of what was remembered of it."""
    if page is None:
        return
    with _lock:
        sessions = [session for session in _sessions if session.page == page]
        for name in [name for name, (session, _) in _of_programs.items() if session.page == page]:
            del _of_programs[name]
    for session in sessions:
        session.forget()


def program_session(kind: type[Session], key: str, request: gr.Request) -> tuple[str, Session]:
    """What is remembered of a program, and the key by which the program goes on.

    A program with a connection of its own, such as Gradio's client, need not give the key: it is known by the
    connection. All who come by the MCP server share one, so each of them begins anew unless it gives its key.

    Args:
        kind: What is remembered.
        key: What this function gave before, or empty.
        request: By which the program has come.

    Raises:
        VideoRefusedError: There is nothing under this key.
    """
    shared = request.headers.get("x-gradio-user") == "mcp"
    connection = None if shared else request.session_hash
    with _lock:
        kept, _ = _of_programs.get((kind, key or connection or ""), (None, 0.0))
        if kept is None and key:
            raise VideoRefusedError("This session is not there, or no longer. Leave it out to begin anew.")
        session = kept if isinstance(kept, kind) else kind(connection)
        key = key or connection or secrets.token_urlsafe(16)
        _of_programs[kind, key] = session, time.monotonic()
    return key, session


def forget_old_programs(kept_seconds: float) -> None:
    """Let go of what was remembered of programs that have not come for so long."""
    latest = time.monotonic() - kept_seconds
    with _lock:
        old = [name for name, (_, last_step) in _of_programs.items() if last_step <= latest]
        sessions = [_of_programs.pop(name)[0] for name in old]
    for session in sessions:
        session.forget()


def start_forgetting() -> None:
    """From now on forget each program `KEPT_SECONDS` after its last step."""

    def forget_for_ever() -> None:
        while True:
            time.sleep(_LOOK_EVERY_SECONDS)
            forget_old_programs(KEPT_SECONDS)

    threading.Thread(target=forget_for_ever, name="forget", daemon=True).start()
