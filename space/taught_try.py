"""The part of the page where a visitor tries what was taught: by a clip, and with the camera."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from clip_view import clip_view
from engine import Engine, TaughtEngine
from limits import MAX_CLIP_SECONDS, check_video
from live import WAITING, LiveState, live_view, look
from live_tab import CAMERA_STREAM, camera_input
from look_inside import LookInside
from look_session import LookSession
from steps import Progress
from teach_session import TeachSession
from uploads import Uploads
from video_input import video_input
from view_parts import refusal, working
from wiring import ONE_AT_A_TIME, PAGE_ONLY, REFUSALS, html, scroll_to


class TaughtTry:
    """
    Args:
        engine: Holds the model that was taught from.
        uploads: The folder of uploads.

    Attributes:
        answered: What shows and remembers an answer, for `nothing_answered`.
    """

    answered: list[Any]

    def __init__(self, engine: Engine, uploads: Uploads) -> None:
        self._engine = engine
        self._uploads = uploads

    def build(self, session: gr.State) -> None:
        """Put both ways on the page.

        Args:
            session: Holds the visitor's `TeachSession`.
        """
        html('<h3 class="rl-step">4. Try it</h3>')
        with gr.Tab("By a clip"):
            clip = video_input("A new clip", MAX_CLIP_SECONDS, elem_id="teach-try")
            answer = html(elem_id="teach-answer")
            inside = LookInside(self._engine, "teach-inside")
            inside.build()
        with gr.Tab("With the camera"), gr.Row():
            camera = camera_input("teach-camera")
            live = html(WAITING, elem_id="teach-live", min_width=320)
        self.answered = [answer, inside.session, inside.section]
        run = gr.on(
            [clip.upload, clip.stop_recording],
            self._try,
            [session, inside.session, clip],
            [clip, *self.answered],
            **ONE_AT_A_TIME,
            **PAGE_ONLY,
        )
        run.then(None, js=scroll_to("teach-answer"), **PAGE_ONLY)
        inside.refresh_after(run)
        remembered = gr.State()
        camera.stream(self._follow, [camera, session, remembered], [remembered, live], **CAMERA_STREAM, **PAGE_ONLY)

    @staticmethod
    def nothing_answered() -> tuple[Any, ...]:
        """What becomes of `answered` when a visitor starts over."""
        return "", None, gr.Column(visible=False)

    def _try(
        self, session: TeachSession | None, looks: LookSession | None, clip: str | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        if clip is None:
            return
        try:
            model = TeachSession.model_of(session)
            check_video(clip, MAX_CLIP_SECONDS)
            for step in self._engine.answer(clip, model):
                if isinstance(step, Progress):
                    yield gr.skip(), working(step), gr.skip(), gr.Column(visible=False)
                else:
                    view = clip_view(step.prediction, model.config, Path(clip).name)
                    yield None, view, LookInside.remembering(looks, step, request), gr.Column(visible=True)
        except REFUSALS as error:
            yield None, refusal(str(error)), gr.skip(), gr.Column(visible=False)
        finally:
            self._uploads.release(clip)

    def _follow(
        self,
        frame: np.ndarray | None,
        session: TeachSession | None,
        remembered: tuple[TaughtEngine, LiveState] | None,
    ) -> tuple[Any, Any]:
        """One more frame. What is remembered is of one model: when another was learned, it begins anew."""
        model = None if session is None else session.model
        if frame is None or model is None:
            return gr.skip(), gr.skip()
        if remembered is None or remembered[0].model is not model:
            remembered = self._engine.taught(model), LiveState()
        engine, state = remembered
        state, looked = look(engine, frame, time.monotonic(), state)
        return ((engine, state), live_view(engine, state)) if looked else (gr.skip(), gr.skip())
