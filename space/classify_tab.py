"""The tab that says what a clip shows, and the endpoint `/classify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from clip_view import clip_record, clip_view
from engine import Engine
from examples import example_clip, example_names
from limits import MAX_CLIP_SECONDS, check_video
from look_inside import LookInside
from look_session import LookSession
from recorder import recorder
from steps import Progress
from uploads import Uploads
from video_input import video_input
from view_parts import in_words, notice, refusal, working
from wiring import ONE_AT_A_TIME, PAGE_ONLY, REFUSALS, as_error, html, require, scroll_to, stop_button

_LABEL = "A clip of one action"
_TAKE_SECONDS = 4
_RECORD = "of one of the actions I know, after a count from three"
# What becomes of the input, the stop button, the view, what is remembered, and the part that looks inside.
Outputs = tuple[Any, Any, Any, Any, Any]


class ClassifyTab:
    """
    Args:
        engine: Holds the model.
        uploads: The folder of uploads.
        examples: Where examples are kept.

    Attributes:
        words: Below the answer until there is one.
    """

    words: gr.HTML

    def __init__(self, engine: Engine, uploads: Uploads, examples: Path) -> None:
        self._engine = engine
        self._uploads = uploads
        self._examples = examples

    def build(self) -> None:
        """Put the tab's content on the page, and the endpoint beside it."""
        video = video_input(_LABEL, MAX_CLIP_SECONDS, elem_id="clip")
        html(recorder("clip", _TAKE_SECONDS, words=_RECORD, hidden=True), elem_id="clip-recorder")
        with gr.Row(elem_classes="rl-examples", equal_height=True):
            html("<p>No clip at hand? Generated ones, free to pass on; no everyday action is in them:</p>")
            buttons = {name: gr.Button(in_words(name), size="sm", min_width=90) for name in example_names()}
        stop = stop_button()
        view = html(notice("The answer comes here."), elem_id="clip-answer")
        self.words = html(elem_id="clip-words")
        inside = LookInside(self._engine, "inside")
        inside.build()
        outputs = [video, stop, view, inside.session, inside.section]
        uploaded = [video.upload, video.stop_recording]
        runs = [gr.on(uploaded, self._show, [inside.session, video], outputs, **ONE_AT_A_TIME, **PAGE_ONLY)]
        for name, button in buttons.items():
            show = self._example_runner(name)
            runs.append(button.click(show, inside.session, outputs, **ONE_AT_A_TIME, **PAGE_ONLY))
        for run in runs:
            run.then(None, js=scroll_to("clip-answer"), **PAGE_ONLY)
            inside.refresh_after(run)
        stop.click(_stopped, None, outputs, cancels=runs, queue=False, **PAGE_ONLY)

        clip = video_input(_LABEL, MAX_CLIP_SECONDS, visible=False)
        answer = gr.JSON(visible=False, label="answer")
        gr.Button(visible=False).click(self.classify, clip, answer, api_name="classify", **ONE_AT_A_TIME)

    def classify(self, video: str) -> Iterator[dict[str, Any]]:
        """Say which action a clip of up to a minute shows, how sure that is, and what each frame adds to the decision.

        Args:
            video: The clip.

        Returns:
            The five best labels with their scores, whether it is none of the model's actions, and each frame's share.
        """
        try:
            require(video)
            check_video(video, MAX_CLIP_SECONDS)
            for step in self._engine.classify(video):
                if isinstance(step, Progress):
                    yield step.record()
                else:
                    yield {"source": Path(video).name, **clip_record(step, self._engine.config)}
        except REFUSALS as error:
            raise as_error(error) from None
        finally:
            self._uploads.release(video)

    def _show(self, session: LookSession | None, video: str | None, request: gr.Request) -> Iterator[Outputs]:
        if video is None:
            return
        try:
            yield from self._steps(session, video, request)
        finally:
            self._uploads.release(video)

    def _example_runner(self, name: str) -> Callable[..., Iterator[Outputs]]:
        # Gradio gives the request to functions that name it in their own signature, which a partial has not.
        def show(session: LookSession | None, request: gr.Request) -> Iterator[Outputs]:
            yield from self._steps(session, str(example_clip(self._examples, name)), request, example_of=name)

        return show

    def _steps(
        self, session: LookSession | None, path: str, request: gr.Request, example_of: str | None = None
    ) -> Iterator[Outputs]:
        try:
            check_video(path, MAX_CLIP_SECONDS)
            for step in self._engine.answer(path):
                if isinstance(step, Progress):
                    yield gr.skip(), gr.Button(visible=True), working(step), gr.skip(), gr.Column(visible=False)
                else:
                    view = clip_view(step.prediction, self._engine.config, Path(path).name, example_of=example_of)
                    session = LookInside.remembering(session, step, request)
                    yield None, gr.Button(visible=False), view, session, gr.Column(visible=True)
        except REFUSALS as error:
            yield None, gr.Button(visible=False), refusal(str(error)), gr.skip(), gr.Column(visible=False)


def _stopped() -> Outputs:
    return None, gr.Button(visible=False), notice("Stopped."), gr.skip(), gr.Column(visible=False)
