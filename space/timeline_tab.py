"""The tab that says what happens in a longer video, and when, and the endpoint `/timeline`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine import Engine
from examples import example_video
from limits import MAX_VIDEO_SECONDS, VideoRefusedError, check_video, without_path
from steps import Progress, in_steps
from timeline_view import timeline_view
from uploads import Uploads
from video_input import video_input
from view_parts import notice, refusal, working
from wiring import PAGE_ONLY, REFUSALS, as_error, html, require, scroll_to, stop_button

if TYPE_CHECKING:
    from resnet_lstm.inference import Timeline

# Where `resnet-lstm timeline` begins too.
MIN_SCORE = 0.2
_LABEL = "A longer video"
_ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "timeline", "concurrency_limit": 1}

# What becomes of the input, of the stop button, of the view and of the annotated video.
Outputs = tuple[Any, Any, Any, Any]


class TimelineTab:
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
        video = video_input(_LABEL, MAX_VIDEO_SECONDS, elem_id="video")
        with gr.Row(elem_classes="rl-examples", equal_height=True):
            html("<p>No video at hand? A generated one, free to pass on; no everyday action is in it:</p>")
            example = gr.Button("One after the other", size="sm", min_width=160)
        with gr.Accordion("Settings", open=False):
            min_score = gr.Slider(0.1, 0.9, MIN_SCORE, step=0.05, label="Below this score an action is none of mine")
            annotate = gr.Checkbox(True, label="Write the actions into a copy of the video, too")
        stop = stop_button()
        view = html(notice("What happens, and when, comes here."), elem_id="video-answer")
        annotated = gr.Video(label="The video with its actions", visible=False, interactive=False, height=400)
        outputs = [video, stop, view, annotated]
        uploaded, settings = [video.upload, video.stop_recording], [min_score, annotate]
        runs = [
            gr.on(uploaded, self._show, [video, *settings], outputs, **_ONE_AT_A_TIME, **PAGE_ONLY),
            example.click(self._show_example, settings, outputs, **_ONE_AT_A_TIME, **PAGE_ONLY),
        ]
        for run in runs:
            run.then(None, js=scroll_to("video-answer"), **PAGE_ONLY)
        stop.click(_stopped, None, outputs, cancels=runs, queue=False, **PAGE_ONLY)

        inputs = [
            video_input(_LABEL, MAX_VIDEO_SECONDS, visible=False),
            gr.Number(MIN_SCORE, minimum=0.05, maximum=0.95, visible=False, label="min_score"),
            gr.Checkbox(False, visible=False, label="annotate"),
        ]
        answers = [gr.JSON(visible=False, label="answer"), gr.Video(visible=False, label="annotated")]
        gr.Button(visible=False).click(self.timeline, inputs, answers, api_name="timeline", **_ONE_AT_A_TIME)

    def timeline(
        self, video: str, min_score: float = MIN_SCORE, annotate: bool = False
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        """Say what happens in a video of up to ten minutes, and when.

        Args:
            video: The video.
            min_score: Below this score an action is none of the model's.
            annotate: Also give a copy of the video with the actions written into it.

        Returns:
            The segments with start and end in seconds and their score, the scores at every moment; and the annotated
            video.
        """
        try:
            require(video)
            check_video(video, MAX_VIDEO_SECONDS)
            for timeline, step in self._work(video, min_score, annotate):
                if isinstance(step, Progress):
                    yield step.record(), None
                else:
                    yield {"source": Path(video).name, **timeline.to_dict()}, None if step is None else str(step)
        except REFUSALS as error:
            raise as_error(error) from None
        finally:
            self._uploads.release(video)

    def _show(self, video: str | None, min_score: float, annotate: bool) -> Iterator[Outputs]:
        if video is None:
            return
        try:
            yield from self._steps(video, min_score, annotate)
        finally:
            self._uploads.release(video)

    def _show_example(self, min_score: float, annotate: bool) -> Iterator[Outputs]:
        yield from self._steps(str(example_video(self._examples)), min_score, annotate)

    def _steps(self, path: str, min_score: float, annotate: bool) -> Iterator[Outputs]:
        no_video = gr.Video(value=None, visible=False)
        view: str | None = None
        try:
            check_video(path, MAX_VIDEO_SECONDS)
            for timeline, step in self._work(path, min_score, annotate):
                if timeline is not None and view is None:
                    view = timeline_view(timeline, Path(path).name)
                if isinstance(step, Progress):
                    yield gr.skip(), gr.Button(visible=True), (view or "") + working(step), no_video
                else:
                    shown = no_video if step is None else gr.Video(value=str(step), visible=True)
                    yield None, gr.Button(visible=False), view, shown
        except REFUSALS as error:
            yield None, gr.Button(visible=False), refusal(str(error)), no_video

    def _work(self, path: str, min_score: float, annotate: bool) -> Iterator[tuple[Any, Progress | Path | None]]:
        """The timeline as soon as there is one, and how far it is; in the end the annotated video, if it is wanted."""
        timeline: Timeline | None = None
        for step in self._engine.label(path, min_score):
            if isinstance(step, Progress):
                yield None, step
            else:
                timeline = step
        assert timeline is not None  # noqa: S101 - the engine ends with it or raises
        if annotate:
            yield from ((timeline, step) for step in self._annotate(path, timeline))
        else:
            yield timeline, None

    def _annotate(self, path: str, timeline: Timeline) -> Iterator[Progress | Path]:
        from resnet_lstm import VideoDecodingError
        from resnet_lstm.inference import annotate_video_apart

        with self._uploads.new_file(f"{Path(path).stem}-annotated.mp4") as output:
            try:
                yield from in_steps(
                    "Writing the annotated video", lambda report: annotate_video_apart(path, timeline, output, report)
                )
            except VideoDecodingError as error:
                raise VideoRefusedError(without_path(error, path)) from None


def _stopped() -> Outputs:
    return None, gr.Button(visible=False), notice("Stopped."), gr.Video(value=None, visible=False)
