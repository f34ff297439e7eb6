"""The tab in which visitors teach the model actions of their own, and the endpoints `/teach_clip`, `/teach_learn` and
`/teach_try`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from clip_view import clip_record
from engine import Engine
from limits import MAX_CLIP_SECONDS, MAX_MODEL_BYTES, VideoRefusedError, check_video, in_clock
from page_sessions import KEPT_SECONDS, program_session
from recorder import recorder
from steps import Progress
from taught_file import MODEL_NAME, read_zip, write_zip
from taught_try import TaughtTry
from teach_session import ClipToLearn, TeachSession
from teach_view import learned_view, session_record, session_view, thumbnail
from uploads import Uploads
from video_input import video_input
from view_parts import notice, refusal, working
from wiring import ONE_AT_A_TIME, PAGE_ONLY, REFUSALS, as_error, html, require, scroll_to

_INTRODUCTION = """<div class="rl-teach"><h2>Teach it your own actions</h2>
<p>A few short clips of each are enough, and it learns them in seconds. <strong>Your clips stay yours:</strong> a video
is deleted as soon as its frames have been read. What is remembered, numbers and small pictures, is seen by you alone,
and gone when you close the page, or an hour after your last step.</p></div>"""
_FILES_PIXELS = 130
_TAKE_SECONDS = 2
_RECORD = "after a count from three, with your camera"
# A class of its own, of clips in which none of the actions happens.
SOMETHING_ELSE = "something else"
_TAKE_ALONG = f"""<details class="rl-known"><summary>How to use and publish it</summary>
<p>Unpack it. In Python,
<code>pipeline("video-classification", "{MODEL_NAME}", trust_remote_code=True)</code> loads it;
<code>resnet-lstm predict {MODEL_NAME} clip.mp4</code> asks it;
<code>resnet-lstm publish model {MODEL_NAME} --repo you/{MODEL_NAME}</code> publishes it. To go on another day,
drop the file below: it is read as figures, and none of its code is run.</p></details>"""


class TeachTab:
    """
    Args:
        engine: Holds the model.
        uploads: The folder of uploads.
    """

    def __init__(self, engine: Engine, uploads: Uploads) -> None:
        self._engine = engine
        self._uploads = uploads

    def build(self) -> None:
        """Put the tab's content on the page, and the endpoints beside it."""
        session = gr.State(None, time_to_live=KEPT_SECONDS)
        html(_INTRODUCTION)
        with gr.Row():
            with gr.Column():
                with gr.Row():
                    action = gr.Textbox(
                        label="1. Name an action", placeholder="juggling", max_lines=1, elem_id="teach-name", scale=3
                    )
                    otherwise = gr.Button("Something else", size="sm", min_width=120, elem_id="teach-otherwise")
                html(recorder("teach-clips", _TAKE_SECONDS, named="teach-name", back="teach-back", words=_RECORD))
                clips = gr.File(
                    label=f"2. Record or drop clips, up to {in_clock(MAX_CLIP_SECONDS)} min",
                    file_count="multiple",
                    height=_FILES_PIXELS,
                    elem_id="teach-clips",
                )
            with gr.Column():
                shown = html(session_view(TeachSession()), elem_id="teach-session")
                with gr.Row():
                    back = gr.Button("Take back the last clip", size="sm", elem_id="teach-back")
                    anew = gr.Button("Start over", size="sm")
                keep = gr.Checkbox(label="Keep the actions that it knows already", value=False)
                learn = gr.Button("3. Learn", variant="primary", elem_id="teach-learn")
        said = html(elem_id="teach-said")
        learned = html(elem_id="teach-learned")
        outputs = [session, clips, shown, said]
        # What was given before the action had a name is taken when it has one. A take may come while the one before
        # is being read.
        for event in (clips.upload, action.submit):
            event(self._add, [session, action, clips], outputs, trigger_mode="multiple", **ONE_AT_A_TIME, **PAGE_ONLY)
        otherwise.click(lambda: SOMETHING_ELSE, None, action, queue=False, **PAGE_ONLY)
        back.click(_take_back, [session, action], [session, shown], **PAGE_ONLY)
        with gr.Column(visible=False) as with_model:
            trying = TaughtTry(self._engine, self._uploads)
            trying.build(session)
            self._build_pack(session, said)
        self._build_go_on(session, said, learned, with_model)
        learning = learn.click(
            self._learn, [session, keep], [session, said, learned, with_model], **ONE_AT_A_TIME, **PAGE_ONLY
        )
        learning.then(None, js=scroll_to("teach-learned"), **PAGE_ONLY)
        anew.click(_start_over, None, [session, shown, said, learned, with_model, *trying.answered], **PAGE_ONLY)
        self._build_endpoints()

    def _build_pack(self, session: gr.State, said: gr.HTML) -> None:
        html('<h3 class="rl-step">5. Take it with you</h3>')
        with gr.Row(elem_classes="rl-looks"):
            pack = gr.Button("Pack it", size="sm")
            packed = gr.DownloadButton("Download the model", visible=False, size="sm")
        html(_TAKE_ALONG)
        pack.click(self._pack, session, [packed, said], **ONE_AT_A_TIME, **PAGE_ONLY)

    def _build_go_on(self, session: gr.State, said: gr.HTML, learned: gr.HTML, with_model: gr.Column) -> None:
        brought = gr.File(
            label="Go on with a model that you took along (.zip)", height=_FILES_PIXELS, elem_id="teach-zip"
        )
        outputs = [session, brought, said, learned, with_model]
        brought.upload(self._go_on, [session, brought], outputs, **ONE_AT_A_TIME, **PAGE_ONLY)

    def _build_endpoints(self) -> None:
        action, keep = gr.Textbox(visible=False, label="action"), gr.Checkbox(visible=False, label="keep")
        clip = video_input("A clip", MAX_CLIP_SECONDS, visible=False)
        session = gr.Textbox("", visible=False, label="session")
        answer = gr.JSON(visible=False, label="answer")
        for call, inputs in (
            (self.teach_clip, [action, clip, session]),
            (self.teach_learn, [keep, session]),
            (self.teach_try, [clip, session]),
        ):
            gr.Button(visible=False).click(call, inputs, answer, api_name=call.__name__, **ONE_AT_A_TIME)

    def teach_clip(self, action: str, video: str, session: str, request: gr.Request) -> dict[str, Any]:
        """Give a clip of an action that shall be learned. It is remembered for this client alone, and not as a video.

        Args:
            action: What the clip shows.
            video: The clip.
            session: What the first answer called it, to give further clips; empty at first. Clients with a connection
                of their own may leave it empty: they are known by that.
            request: By which it has come.

        Returns:
            The actions so far, with the names of their clips, and the session.
        """
        try:
            require(video)
            key, taught = program_session(TeachSession, session, request)
            for _ in self._read(taught, action, video):
                pass
            return {"session": key, **session_record(taught)}
        except REFUSALS as error:
            raise as_error(error) from None
        finally:
            self._uploads.release(video)

    def teach_learn(self, keep: bool, session: str, request: gr.Request) -> dict[str, Any]:
        """Learn the actions whose clips were given.

        Args:
            keep: Whether what the model knows already stays.
            session: As of the clips.
            request: By which it has come.

        Returns:
            The actions, how many clips are recognised when each is held out, and the session.
        """
        try:
            key, taught = program_session(TeachSession, session, request)
            for _ in self._teach(taught, keep):
                pass
            return {"session": key, **session_record(taught)}
        except REFUSALS as error:
            raise as_error(error) from None

    def teach_try(self, video: str, session: str, request: gr.Request) -> dict[str, Any]:
        """Say what a clip shows, by what was learned.

        Args:
            video: The clip.
            session: As of the clips that were learned from.
            request: By which it has come.

        Returns:
            As `/classify`.
        """
        try:
            require(video)
            check_video(video, MAX_CLIP_SECONDS)
            _, taught = program_session(TeachSession, session, request)
            model = TeachSession.model_of(taught)
            *_, prediction = self._engine.classify(video, model)
            assert not isinstance(prediction, Progress)  # noqa: S101 - the last step is the answer
            return {"source": Path(video).name, **clip_record(prediction, model.config)}
        except REFUSALS as error:
            raise as_error(error) from None
        finally:
            self._uploads.release(video)

    def _read(self, session: TeachSession, action: str | None, path: str) -> Iterator[Progress]:
        """Read a clip into the session."""
        name = session.name_of(action)
        check_video(path, MAX_CLIP_SECONDS)
        sha256 = session.check_room(name, Path(path))
        for step in self._engine.read_clip(path):
            if isinstance(step, Progress):
                yield step
            else:
                features, frames = step
                session.add(name, ClipToLearn(Path(path).name, sha256, features, thumbnail(frames)))

    def _teach(self, session: TeachSession, keep: bool) -> Iterator[Progress]:
        """Learn what is in the session."""
        missing = session.what_is_missing(keep)
        if missing:
            raise VideoRefusedError(missing)
        clips = {name: [clip.frame_features for clip in of_action] for name, of_action in session.actions.items()}
        for step in self._engine.teach(clips, session.base, keep=keep):
            if isinstance(step, Progress):
                yield step
            else:
                session.taught = step

    def _add(
        self,
        session: TeachSession | None,
        action: str,
        clips: Sequence[str] | None,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        session = session or TeachSession(request.session_hash)
        if not clips:
            return
        if not (action or "").strip():
            yield session, gr.skip(), session_view(session), refusal("Name the action, then press Enter.")
            return
        refusals = []
        for path in clips:
            try:
                for step in self._read(session, action, path):
                    yield gr.skip(), gr.skip(), gr.skip(), working(step)
            except REFUSALS as error:
                refusals.append(str(error))
            finally:
                self._uploads.release(path)
        yield session, None, session_view(session), refusal(" ".join(refusals)) if refusals else ""

    def _learn(self, session: TeachSession | None, keep: bool, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        session = session or TeachSession(request.session_hash)
        try:
            for step in self._teach(session, keep):
                yield gr.skip(), working(step), gr.skip(), gr.skip()
            assert session.taught is not None  # noqa: S101 - it has just been learned
            yield session, "", learned_view(session.taught.report), gr.Column(visible=True)
        except REFUSALS as error:
            yield session, refusal(str(error)), gr.skip(), gr.skip()

    def _pack(self, session: TeachSession | None) -> Iterator[tuple[Any, ...]]:
        try:
            TeachSession.model_of(session)
            taught = session.taught if session else None
            if taught is None:
                raise VideoRefusedError("It is as you brought it: there is nothing new to take along.")
            yield gr.skip(), working(Progress("Packing"))
            with self._uploads.new_file(f"{MODEL_NAME}.zip") as path:
                write_zip(path, taught, self._engine.model()[1], self._engine.name)
            yield gr.DownloadButton(value=str(path), visible=True), ""
        except REFUSALS as error:
            yield gr.skip(), refusal(str(error))

    def _go_on(
        self, session: TeachSession | None, brought: str | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        if brought is None:
            return
        session = session or TeachSession(request.session_hash)
        try:
            if Path(brought).stat().st_size > MAX_MODEL_BYTES:
                raise VideoRefusedError(f"{Path(brought).name}: at most {MAX_MODEL_BYTES // 2**20} MB are taken.")
            yield gr.skip(), gr.skip(), working(Progress("Reading the model")), gr.skip(), gr.skip()
            model = read_zip(Path(brought), self._engine.model()[0])
            session.base, session.taught = model, None
            labels = ", ".join(model.config.id2label[index] for index in range(model.config.num_labels))
            words = notice(f"It knows {labels}. Try it, or teach it more and keep these.")
            yield session, None, words, "", gr.Column(visible=True)
        except REFUSALS as error:
            yield session, None, refusal(str(error)), gr.skip(), gr.skip()
        finally:
            self._uploads.release(brought)


def _take_back(session: TeachSession | None, action: str, request: gr.Request) -> tuple[TeachSession, str]:
    session = session or TeachSession(request.session_hash)
    names = [name for name in session.actions if name.casefold() == " ".join((action or "").split()).casefold()]
    session.take_back(names[0] if names else next(reversed(session.actions), None))
    return session, session_view(session)


def _start_over(request: gr.Request) -> tuple[Any, ...]:
    empty = TeachSession(request.session_hash)
    return empty, session_view(empty), "", "", gr.Column(visible=False), *TaughtTry.nothing_answered()
