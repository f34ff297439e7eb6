"""The tab that says what a clip shows, and the endpoint `/classify`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from clip_view import clip_record, clip_view
from engine import Engine
from examples import example_clip, example_names
from limits import MAX_CLIP_SECONDS, check_video
from steps import Progress
from uploads import Uploads
from video_input import video_input
from view_parts import in_words, notice, refusal, working
from wiring import ONE_AT_A_TIME, PAGE_ONLY, REFUSALS, as_error, html, require, scroll_to, stop_button

_LABEL = "A clip of one action"
# What becomes of the input, of the stop button and of the view.
Outputs = tuple[Any, Any, Any]


class ClassifyTab:
    """
    Args:
        engine: Holds the model.
        uploads: The folder of uploads.
        examples: Where examples are kept.
    """

    def __init__(self, engine: Engine, uploads: Uploads, examples: Path) -> None:
        self._engine = engine
        self._uploads = uploads
        self._examples = examples

    def build(self) -> None:
        """Put the tab's content on the page, and the endpoint beside it."""
        video = video_input(_LABEL, MAX_CLIP_SECONDS, elem_id="clip")
        with gr.Row(elem_classes="rl-examples", equal_height=True):
            html("<p>No clip at hand? Generated ones, free to pass on; no everyday action is in them:</p>")
            buttons = {name: gr.Button(in_words(name), size="sm", min_width=90) for name in example_names()}
        stop = stop_button()
        view = html(notice("The answer comes here."), elem_id="clip-answer")
        outputs = [video, stop, view]
        uploaded = [video.upload, video.stop_recording]
        runs = [gr.on(uploaded, self._show, video, outputs, **ONE_AT_A_TIME, **PAGE_ONLY)]
        for name, button in buttons.items():
            show = partial(self._show_example, name)
            runs.append(button.click(show, None, outputs, **ONE_AT_A_TIME, **PAGE_ONLY))
        for run in runs:
            run.then(None, js=scroll_to("clip-answer"), **PAGE_ONLY)
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

    def _show(self, video: str | None) -> Iterator[Outputs]:
        if video is None:
            return
        try:
            yield from self._steps(video)
        finally:
            self._uploads.release(video)

    def _show_example(self, name: str) -> Iterator[Outputs]:
        yield from self._steps(str(example_clip(self._examples, name)), example_of=name)

    def _steps(self, path: str, example_of: str | None = None) -> Iterator[Outputs]:
        try:
            check_video(path, MAX_CLIP_SECONDS)
            for step in self._engine.classify(path):
                if isinstance(step, Progress):
                    yield gr.skip(), gr.Button(visible=True), working(step)
                else:
                    view = clip_view(step, self._engine.config, Path(path).name, example_of=example_of)
                    yield None, gr.Button(visible=False), view
        except REFUSALS as error:
            yield None, gr.Button(visible=False), refusal(str(error))


def _stopped() -> Outputs:
    return None, gr.Button(visible=False), notice("Stopped.")
