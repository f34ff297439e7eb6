"""What the tabs share: pieces of the page, and how refusals are told."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from engine import ModelUnavailableError
from limits import VideoRefusedError

REFUSALS = (VideoRefusedError, ModelUnavailableError)
# Events of the page itself; the endpoints for programs are others, with plain answers.
PAGE_ONLY: dict[str, Any] = {"api_visibility": "private"}
# Two that look at clips at the same time would share the same cores and both come later.
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "classify", "concurrency_limit": 1}


def html(value: str = "", **options: Any) -> gr.HTML:
    """A piece of HTML with the style of this page alone."""
    return gr.HTML(value, elem_classes="rl-block", apply_default_css=False, **options)


def stop_button() -> gr.Button:
    """Shown while something is being done."""
    return gr.Button("Stop", visible=False, size="sm", variant="stop", elem_classes="rl-stop")


def scroll_to(elem_id: str) -> str:
    """Script that brings an answer into sight, where the input has pushed it out."""
    return f"() => document.getElementById('{elem_id}').scrollIntoView({{block: 'nearest'}})"


def require(value: Any) -> None:
    """See that there is something to look at.

    Raises:
        VideoRefusedError: There is not.
    """
    if value is None:
        raise VideoRefusedError("Nothing was given to look at.")


def as_error(refusal: Exception) -> gr.Error:
    """A refusal for programs; Gradio shows the message as HTML, so it is escaped."""
    return gr.Error(escape(str(refusal)), print_exception=False)
