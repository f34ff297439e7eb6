"""The part of the page that looks inside the last answer: other orders, places in the pictures, two clips together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from answer_card import answer_card, card_description
from engine import Answer, Engine
from inside_view import card_view, compared_view, orders_view, places_view
from limits import VideoRefusedError
from look_session import ClipLook, LookSession
from page_sessions import KEPT_SECONDS
from steps import Progress
from view_parts import refusal, working
from wiring import ONE_AT_A_TIME, PAGE_ONLY, REFUSALS, html, scroll_to

_TITLE = """<h3 class="rl-step">Look inside</h3><p class="rl-notice">What is order worth on this clip, where does the
answer come from, and how does it compare? It is read from what was remembered; the video itself is gone.</p>"""
_NOTHING = "The clip is no longer remembered. Please give it again."


class LookInside:
    """
    Args:
        engine: Holds the model.
        elem_id: What this part of the page is called there.

    Attributes:
        session: Holds the visitor's `LookSession`.
        section: The part of the page, to be shown with an answer.
    """

    session: gr.State
    section: gr.Column

    def __init__(self, engine: Engine, elem_id: str) -> None:
        self._engine = engine
        self._elem_id = elem_id

    def build(self) -> None:
        """Put it on the page, out of sight until there is an answer."""
        self.session = gr.State(None, time_to_live=KEPT_SECONDS)
        with gr.Column(visible=False, elem_id=self._elem_id) as self.section:
            html(_TITLE)
            with gr.Row(elem_classes="rl-looks"):
                ways: dict[str, Callable[[LookSession], Iterator[Progress | str]]] = {
                    "Shuffle its frames": partial(self._orders, "shuffled"),
                    "Reverse its frames": partial(self._orders, "reversed"),
                    "Where it comes from": self._places,
                    "Compare with the clip before": self._compared,
                    "As a picture": self._card,
                }
                buttons = {name: gr.Button(name, size="sm", min_width=120) for name in ways}
            self._view = html(elem_id=f"{self._elem_id}-answer")
        for name, button in buttons.items():
            show = button.click(
                partial(self._show, ways[name]), self.session, self._view, **ONE_AT_A_TIME, **PAGE_ONLY
            )
            show.then(None, js=scroll_to(f"{self._elem_id}-answer"), **PAGE_ONLY)
        self._compare = buttons["Compare with the clip before"]

    def refresh_after(self, run: Any) -> None:
        """After a run that may have answered a clip, let what was found in another one go."""
        run.then(_refreshed, self.session, [self._view, self._compare], **PAGE_ONLY)

    @staticmethod
    def remembering(session: LookSession | None, answer: Answer, request: gr.Request) -> LookSession:
        """The session with one more answer."""
        session = session or LookSession(request.session_hash)
        session.add(answer)
        return session

    def _show(
        self, way: Callable[[LookSession], Iterator[Progress | str]], session: LookSession | None
    ) -> Iterator[str]:
        try:
            if session is None or not session.looks:
                raise VideoRefusedError(_NOTHING)
            for step in way(session):
                yield working(step) if isinstance(step, Progress) else step
        except REFUSALS as error:
            yield refusal(str(error))

    def _orders(self, order: str, session: LookSession) -> Iterator[Progress | str]:
        look = session.looks[0]
        for step in self._engine.in_order(look.answer, order):
            config = self._engine.config_of(look.answer)
            yield step if isinstance(step, Progress) else orders_view(look, step, order, config)

    def _places(self, session: LookSession) -> Iterator[Progress | str]:
        look = session.looks[0]
        for step in self._engine.places(look.answer):
            config = self._engine.config_of(look.answer)
            yield step if isinstance(step, Progress) else places_view(look, step, config)

    def _compared(self, session: LookSession) -> Iterator[str]:
        if len(session.looks) < 2:
            raise VideoRefusedError("Give another clip first: the last two are compared.")
        look, before = session.looks
        yield compared_view(look, before, self._engine.config_of(look.answer))

    def _card(self, session: LookSession) -> Iterator[str]:
        look: ClipLook = session.looks[0]
        config = self._engine.config_of(look.answer)
        yield card_view(answer_card(look, config), look.name, card_description(look, config))


def _refreshed(session: LookSession | None) -> tuple[str, gr.Button]:
    return "", gr.Button(visible=session is not None and len(session.looks) > 1)
