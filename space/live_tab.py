"""The tab that says what a webcam shows, and the endpoint `/live`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from engine import Engine
from limits import read_frame
from live import WAITING, LiveState, live_record, live_view, look
from page_sessions import PageSession, program_session
from uploads import Uploads
from view_parts import refusal
from wiring import PAGE_ONLY, REFUSALS, as_error, html, require

# So many may look at the same time, each for so long before the next in the queue has a turn.
_VIEWERS, _SECONDS = 2, 180
# Frames come at least as often as any model wants them; what comes too early is left out.
_SECONDS_BETWEEN_FRAMES = 0.2
# Below twice this width, as on a phone, the answer stands below the camera.
_COLUMN_PIXELS = 320
_CAMERA = {"video": {"width": 320, "height": 240}}
CAMERA_STREAM: dict[str, Any] = {
    "stream_every": _SECONDS_BETWEEN_FRAMES,
    "time_limit": _SECONDS,
    "concurrency_limit": _VIEWERS,
    "show_progress": "hidden",
}


def camera_input(elem_id: str) -> gr.Image:
    """A webcam whose pictures are looked at as they come."""
    return gr.Image(
        sources=["webcam"],
        streaming=True,
        label="Camera",
        elem_id=elem_id,
        min_width=_COLUMN_PIXELS,
        webcam_options=gr.WebcamOptions(mirror=False, constraints=_CAMERA),
    )


@dataclass(eq=False)
class CameraSession(PageSession):
    """The camera of one program.

    Attributes:
        page: As in `PageSession`.
        state: Of its frames so far.
    """

    state: LiveState | None = None

    def forget(self) -> None:
        """Let go of everything."""
        self.state = None


class LiveTab:
    """
    Args:
        engine: Holds the model.
        uploads: The folder of uploads.
    """

    def __init__(self, engine: Engine, uploads: Uploads) -> None:
        self._engine = engine
        self._uploads = uploads

    def build(self) -> None:
        """Put the tab's content on the page, and the endpoint beside it."""
        with gr.Row():
            camera = camera_input("camera")
            view = html(WAITING, elem_id="live-answer", min_width=_COLUMN_PIXELS)
        state = gr.State()
        camera.stream(self._show, [camera, state], [state, view], **CAMERA_STREAM, **PAGE_ONLY)

        frame = gr.Image(type="filepath", visible=False, label="frame")
        session = gr.Textbox("", visible=False, label="session")
        answer = gr.JSON(visible=False, label="answer")
        gr.Button(visible=False).click(self.live, [frame, session], answer, api_name="live")

    def live(self, frame: str, session: str, request: gr.Request) -> dict[str, Any]:
        """Say what is going on after one more frame of a camera. A frame that comes too early is left out.

        Args:
            frame: The picture, as soon as it is taken.
            session: What the first answer called it, to go on from the frames before; empty at first. Clients with a
                connection of their own may leave it empty: they are known by that.
            request: By which it has come.

        Returns:
            The five best labels with their scores, and the session.
        """
        try:
            require(frame)
            key, camera = program_session(CameraSession, session, request)
            camera.state, _ = look(self._engine, read_frame(frame), time.monotonic(), camera.state)
            return {"session": key, **live_record(self._engine, camera.state)}
        except REFUSALS as error:
            raise as_error(error) from None
        finally:
            self._uploads.release(frame)

    def _show(self, frame: np.ndarray | None, state: LiveState | None) -> tuple[Any, Any]:
        if frame is None:
            return gr.skip(), gr.skip()
        try:
            new_state, looked = look(self._engine, frame, time.monotonic(), state)
        except REFUSALS as error:
            return None, refusal(str(error))
        return (new_state, live_view(self._engine, new_state)) if looked else (gr.skip(), gr.skip())
