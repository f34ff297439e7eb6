"""What is remembered of pages and of programs, and that it is nobody else's."""

from __future__ import annotations

import gradio as gr
import pytest
import torch

from limits import VideoRefusedError
from page_sessions import forget_old_programs, forget_page, program_session
from teach_session import ClipToLearn, TeachSession

BY_MCP = {"x-gradio-user": "mcp"}


def request(connection: str, headers: dict[str, str] | None = None) -> gr.Request:
    return gr.Request(session_hash=connection, headers=headers or {})


def begun(connection: str, headers: dict[str, str] | None = None) -> tuple[str, TeachSession]:
    """A session with one clip."""
    key, session = program_session(TeachSession, "", request(connection, headers))
    session.add("wave", ClipToLearn("clip.mp4", "0", torch.zeros(16, 1), ""))
    return key, session


def test_a_page_that_is_closed_is_forgotten_and_no_other() -> None:
    closed, other, shared = TeachSession("closed"), TeachSession("other"), TeachSession()
    for session in (closed, other, shared):
        session.add("wave", ClipToLearn("clip.mp4", "0", torch.zeros(16, 1), ""))
    forget_page(None)
    forget_page("closed")
    assert not closed.actions
    assert other.actions
    assert shared.actions


def test_a_program_is_known_by_its_connection_and_forgotten_with_it() -> None:
    key, session = begun("one")
    assert program_session(TeachSession, "", request("one")) == (key, session)
    assert program_session(TeachSession, "", request("two"))[1] is not session
    # By its key it is found from elsewhere too.
    assert program_session(TeachSession, key, request("three"))[1] is session
    forget_page("one")
    assert not session.actions
    with pytest.raises(VideoRefusedError, match="not there"):
        program_session(TeachSession, key, request("three"))


def test_who_shares_a_connection_is_known_by_a_key_alone() -> None:
    (key, session), (other_key, other) = begun("server", BY_MCP), begun("server", BY_MCP)
    assert session is not other
    assert program_session(TeachSession, key, request("server", BY_MCP))[1] is session
    assert program_session(TeachSession, other_key, request("server", BY_MCP))[1] is other
    forget_page("server")
    assert session.actions
    with pytest.raises(VideoRefusedError, match="not there"):
        program_session(TeachSession, "guessed", request("server", BY_MCP))


def test_a_program_that_does_not_come_again_is_forgotten() -> None:
    key, session = begun("gone")
    forget_old_programs(60)
    assert session.actions
    forget_old_programs(0)
    assert not session.actions
    with pytest.raises(VideoRefusedError, match="not there"):
        program_session(TeachSession, key, request("gone"))
