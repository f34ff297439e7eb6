"""The Space: what happens in a video, in the browser.

    python space/app.py --model runs/ucf101-25
    python space/app.py --model user/model --mcp

Without --model it is the one that the variable RESNET_LSTM_MODEL names.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from starlette.middleware import Middleware

import live
from about_view import about_view, known_actions_view
from clip_view import clip_record, clip_view
from engine import Engine, ModelUnavailableError
from examples import example_clip, example_names, example_video
from limits import MAX_CLIP_SECONDS, MAX_UPLOAD_BYTES, MAX_VIDEO_SECONDS, VideoRefusedError, check_video
from steps import Progress, in_steps
from timeline_view import timeline_view
from uploads import UploadGate, Uploads
from video_input import video_input
from view_parts import in_words, notice, refusal, working

DEFAULT_MODEL = "resnet-lstm/resnet50-lstm-ucf101-25"
TITLE = "What happens in this video?"
STYLE = Path(__file__).with_name("style.css")
# As many wait at most; the next is asked to come back later.
QUEUE_SIZE = 24
LIVE_VIEWERS, LIVE_SECONDS = 2, 180
REFUSALS = (VideoRefusedError, ModelUnavailableError)


class Space:
    """The page and its API over one engine and one folder of uploads."""

    def __init__(self, engine: Engine, uploads: Uploads, examples: Path) -> None:
        self.engine = engine
        self.uploads = uploads
        self.examples = examples

    def build(self) -> gr.Blocks:
        """The page."""
        with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
            _html(
                f"<header class='rl-hero'><h1>{TITLE}</h1><p>Drop a clip. A ResNet-50 looks at its frames, an LSTM reads "
                "them in order, and every frame’s share in the answer is shown.</p></header>"
            )
            known = _html()
            page.load(lambda: known_actions_view(self.engine.name), None, known, api_visibility="private")
            with gr.Tab("Classify", id="classify"):
                self._build_classify()
            with gr.Tab("Timeline", id="timeline"):
                self._build_timeline()
            with gr.Tab("Live", id="live"):
                self._build_live()
            with gr.Tab("About", id="about") as about:
                figures, limits = _html(), gr.Markdown(elem_classes="rl-limits")
                about.select(
                    lambda: about_view(self.engine.name), None, [figures, limits], api_name="about", show_progress="minimal"
                )
        return page

    def _build_classify(self) -> None:
        video = video_input("A clip of one action", MAX_CLIP_SECONDS, elem_id="clip")
        names = example_names()
        with gr.Row(elem_classes="rl-examples", equal_height=True):
            _html("<p>No clip at hand? Generated ones, free to pass on:</p>")
            buttons = [gr.Button(in_words(name), size="sm", variant="secondary", min_width=90) for name in names]
        stop = gr.Button("Stop", visible=False, size="sm", variant="stop", elem_classes="rl-stop")
        view = _html(notice("The answer comes here."), elem_id="clip-answer")
        outputs = [video, stop, view]
        settings: dict[str, Any] = {"concurrency_id": "classify", "concurrency_limit": 1, "api_visibility": "private"}
        runs = [
            gr.on([video.upload, video.stop_recording], self.show_clip, video, outputs, **settings),
            *(
                button.click(lambda name=name: (yield from self.show_example(name)), None, outputs, **settings)
                for name, button in zip(names, buttons, strict=True)
            ),
        ]
        for run in runs:
            run.then(None, js=_scroll_to("clip-answer"), api_visibility="private")
        stop.click(self.show_stopped, None, outputs, cancels=runs, queue=False, api_visibility="private")
        answer = gr.JSON(visible=False)
        gr.Button(visible=False).click(
            self.classify,
            video_input("A clip of one action", MAX_CLIP_SECONDS, visible=False),
            answer,
            api_name="classify",
            concurrency_id="classify",
        )

    def _build_timeline(self) -> None:
        video = video_input("A longer video", MAX_VIDEO_SECONDS, elem_id="video")
        with gr.Row(elem_classes="rl-examples", equal_height=True):
            _html("<p>No video at hand? A generated one, free to pass on:</p>")
            button = gr.Button("One after the other", size="sm", variant="secondary", min_width=160)
        with gr.Accordion("Settings", open=False):
            min_score = gr.Slider(0.1, 0.9, 0.5, step=0.05, label="Below this score an action is none of mine")
            annotate = gr.Checkbox(True, label="Write the actions into a copy of the video, too")
        stop = gr.Button("Stop", visible=False, size="sm", variant="stop", elem_classes="rl-stop")
        view = _html(notice("What happens, and when, comes here."), elem_id="video-answer")
        annotated = gr.Video(label="The video with its actions", visible=False, interactive=False, height=400)
        outputs = [video, stop, view, annotated]
        settings: dict[str, Any] = {"concurrency_id": "timeline", "concurrency_limit": 1, "api_visibility": "private"}
        runs = [
            gr.on(
                [video.upload, video.stop_recording], self.show_video, [video, min_score, annotate], outputs, **settings
            ),
            button.click(self.show_example_video, [min_score, annotate], outputs, **settings),
        ]
        for run in runs:
            run.then(None, js=_scroll_to("video-answer"), api_visibility="private")
        stop.click(
            lambda: (*self.show_stopped(), None), None, outputs, cancels=runs, queue=False, api_visibility="private"
        )
        gr.Button(visible=False).click(
            self.timeline,
            [
                video_input("A longer video", MAX_VIDEO_SECONDS, visible=False),
                gr.Number(0.5, minimum=0.05, maximum=0.95, visible=False, label="min_score"),
                gr.Checkbox(False, visible=False, label="annotate"),
            ],
            [gr.JSON(visible=False), gr.Video(visible=False)],
            api_name="timeline",
            concurrency_id="timeline",
        )

    def _build_live(self) -> None:
        with gr.Row():
            camera = gr.Image(
                sources=["webcam"],
                streaming=True,
                type="numpy",
                label="Camera",
                elem_id="camera",
                webcam_options=gr.WebcamOptions(mirror=False, constraints={"video": {"width": 320, "height": 240}}),
            )
            view = _html(live.WAITING, elem_id="live-answer")
        state = gr.State()
        camera.stream(
            self.show_live,
            [camera, state],
            [state, view],
            stream_every=0.2,
            time_limit=LIVE_SECONDS,
            concurrency_id="live",
            concurrency_limit=LIVE_VIEWERS,
            show_progress="hidden",
            api_visibility="private",
        )
        api_state = gr.State()
        gr.Button(visible=False).click(
            self.look,
            [gr.Image(type="numpy", visible=False, label="frame"), api_state],
            [api_state, gr.JSON(visible=False)],
            api_name="live",
            concurrency_id="live-api",
            concurrency_limit=1,
        )

    def show_clip(self, video: str | None) -> Iterator[tuple[Any, ...]]:
        """The steps and the answer of a clip: what becomes of the input, of the stop button, and the view."""
        if video is None:
            return
        try:
            yield from self._show_clip(video)
        finally:
            self.uploads.release(video)

    def show_example(self, name: str) -> Iterator[tuple[Any, ...]]:
        """As `show_clip`, of an example."""
        yield from self._show_clip(str(example_clip(self.examples, name)), example_of=name)

    def _show_clip(self, path: str, example_of: str | None = None) -> Iterator[tuple[Any, ...]]:
        try:
            check_video(path, MAX_CLIP_SECONDS)
            for step in self.engine.classify(path):
                if isinstance(step, Progress):
                    yield gr.skip(), gr.Button(visible=True), working(step)
                else:
                    view = clip_view(step, self.engine.model()[0].config, Path(path).name, example_of=example_of)
                    yield None, gr.Button(visible=False), view
        except REFUSALS as error:
            yield None, gr.Button(visible=False), refusal(str(error))

    def show_video(self, video: str | None, min_score: float, annotate: bool) -> Iterator[tuple[Any, ...]]:
        """The steps and the timeline of a video: the input, the stop button, the view, the annotated copy."""
        if video is None:
            return
        try:
            yield from self._show_video(video, min_score, annotate)
        finally:
            self.uploads.release(video)

    def show_example_video(self, min_score: float, annotate: bool) -> Iterator[tuple[Any, ...]]:
        """As `show_video`, of the example."""
        yield from self._show_video(str(example_video(self.examples)), min_score, annotate)

    def _show_video(self, path: str, min_score: float, annotate: bool) -> Iterator[tuple[Any, ...]]:
        hidden = gr.Video(value=None, visible=False)
        try:
            check_video(path, MAX_VIDEO_SECONDS)
            timeline, view = None, ""
            for step in self.engine.label(path, min_score):
                if isinstance(step, Progress):
                    yield gr.skip(), gr.Button(visible=True), working(step), hidden
                else:
                    timeline, view = step, timeline_view(step, Path(path).name)
            for step in self._annotated(path, timeline) if annotate else ():
                if isinstance(step, Progress):
                    yield gr.skip(), gr.Button(visible=True), view + working(step), hidden
                else:
                    yield None, gr.Button(visible=False), view, gr.Video(value=str(step), visible=True)
            if not annotate:
                yield None, gr.Button(visible=False), view, hidden
        except REFUSALS as error:
            yield None, gr.Button(visible=False), refusal(str(error)), hidden

    def _annotated(self, path: str, timeline: Any) -> Iterator[Progress | Path]:
        from resnet_lstm.inference import annotate_video

        with self.uploads.new_file(f"{Path(path).stem}-annotated.mp4") as output:
            yield from in_steps(
                "Writing the annotated video", lambda report: annotate_video(path, timeline, output, progress=report)
            )

    def show_stopped(self) -> tuple[Any, ...]:
        """What is left when a request was stopped."""
        return None, gr.Button(visible=False), notice("Stopped.")

    def show_live(self, frame: np.ndarray | None, state: live.LiveState | None) -> tuple[Any, Any]:
        """What is remembered of the viewer, and the view of what the camera shows now."""
        if frame is None:
            return gr.skip(), gr.skip()
        try:
            new_state, looked = live.look(self.engine, frame, time.monotonic(), state)
        except REFUSALS as error:
            return None, refusal(str(error))
        return (new_state, live.live_view(self.engine, new_state)) if looked else (gr.skip(), gr.skip())

    def classify(self, video: str) -> Iterator[dict[str, Any]]:
        """Say which action a clip of up to a minute shows, how sure that is, and what each frame adds to the decision.

        Args:
            video: The clip.

        Returns:
            The five best labels with their scores, whether it is none of the model's actions, and each frame's share.
        """
        try:
            _require(video)
            check_video(video, MAX_CLIP_SECONDS)
            for step in self.engine.classify(video):
                if isinstance(step, Progress):
                    yield {"working": step.words, "part": step.part}
                else:
                    record = clip_record(step, self.engine.model()[0].config)
                    yield {"source": Path(video).name, **record}
        except REFUSALS as error:
            raise _error(error) from None
        finally:
            self.uploads.release(video)

    def timeline(
        self, video: str, min_score: float = 0.5, annotate: bool = False
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        """Say what happens in a video of up to ten minutes, and when.

        Args:
            video: The video.
            min_score: Below this score an action is none of the model's.
            annotate: Also give a copy of the video with the actions written into it.

        Returns:
            The segments with start, end and score in seconds, the scores at every moment; and the annotated video.
        """
        try:
            _require(video)
            check_video(video, MAX_VIDEO_SECONDS)
            record: dict[str, Any] = {}
            timeline = None
            for step in self.engine.label(video, min_score):
                if isinstance(step, Progress):
                    yield {"working": step.words, "part": step.part}, None
                else:
                    timeline, record = step, {"source": Path(video).name, **step.to_dict()}
            for step in self._annotated(video, timeline) if annotate else ():
                if isinstance(step, Progress):
                    yield {"working": step.words, "part": step.part}, None
                else:
                    yield record, str(step)
            if not annotate:
                yield record, None
        except REFUSALS as error:
            raise _error(error) from None
        finally:
            self.uploads.release(video)

    def look(self, frame: np.ndarray, state: live.LiveState | None) -> tuple[live.LiveState | None, dict[str, Any]]:
        """Say what is going on after one more frame of a camera. Frames that come too early are left out.

        Args:
            frame: The picture, as soon as it is taken.

        Returns:
            The five best labels with their scores.
        """
        try:
            _require(frame)
            state, _ = live.look(self.engine, frame, time.monotonic(), state)
            return state, live.live_record(self.engine, state)
        except REFUSALS as error:
            raise _error(error) from None


def _html(value: str = "", **options: Any) -> gr.HTML:
    return gr.HTML(value, elem_classes="rl-block", apply_default_css=False, **options)


def _scroll_to(elem_id: str) -> str:
    """Script that brings an answer into sight, where the input has pushed it out."""
    return f"() => document.getElementById('{elem_id}').scrollIntoView({{block: 'nearest'}})"


def _require(value: Any) -> None:
    if value is None:
        raise VideoRefusedError("Nothing was given to look at.")


def _error(error: Exception) -> gr.Error:
    return gr.Error(escape(str(error)), print_exception=False)


def theme() -> gr.themes.Base:
    """One accent colour, the system's own letters: nothing is fetched from elsewhere."""
    letters = ["ui-sans-serif", "system-ui", "sans-serif"]
    return gr.themes.Base(
        primary_hue="indigo", neutral_hue="slate", font=letters, font_mono=["ui-monospace", "monospace"], radius_size="lg"
    )


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default=os.environ.get("RESNET_LSTM_MODEL", DEFAULT_MODEL), help="directory or Hub id (default: %(default)s)"
    )
    parser.add_argument(
        "--runtime", default=os.environ.get("RESNET_LSTM_RUNTIME", "torch"), help="torch, openvino or onnx (default: %(default)s)"
    )
    parser.add_argument(
        "--int8", action="store_true", default=bool(os.environ.get("RESNET_LSTM_INT8")), help="8-bit integers"
    )
    parser.add_argument("--mcp", action="store_true", help="also serve the endpoints as tools of an MCP server")
    parser.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, or the first free one from 7860")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    engine = Engine(args.model, runtime=args.runtime, int8=args.int8)
    try:
        engine.check()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is deleted
    with tempfile.TemporaryDirectory(prefix="resnet-lstm-space-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "files")
        uploads = Uploads(Path(folder) / "files", MAX_UPLOAD_BYTES)
        uploads.start_sweeping()
        engine.start_loading()
        page = Space(engine, uploads, Path(folder) / "examples").build()
        page.queue(max_size=QUEUE_SIZE).launch(
            server_port=args.port,
            max_file_size=MAX_UPLOAD_BYTES,
            mcp_server=args.mcp,
            theme=theme(),
            css_paths=STYLE,
            ssr_mode=False,
            run_history=False,
            footer_links=["api"],
            app_kwargs={"middleware": [Middleware(UploadGate, uploads=uploads)]},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
