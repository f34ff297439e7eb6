"""Eight visitors at once, of whom two teach and the others bring bad files too: for minutes by `pytest -m load -s`.

The figures are printed, and the memory's curve is drawn.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bad_videos
from resnet_lstm.data.generated_clips import generate_frames
from resnet_lstm.data.video_encoding import write_video
from space_fixtures import ACTIONS, RunningSpace, running_space, wait_until_nothing_is_kept

gradio_client = pytest.importorskip("gradio_client")

SHORT, LONG = 15.0, float(os.environ.get("SPACE_LOAD_SECONDS", "120"))
NUM_VISITORS = 6
# What each of two further ones teaches, in names of its own.
TAUGHT = ({"mine darken": "darken", "mine shrink": "shrink"}, {"yours left": "move_left", "yours right": "move_right"})
NUM_CLIPS_TAUGHT = 2


def memory_megabytes(space: RunningSpace) -> float:
    """What the server holds of this machine's memory."""
    for line in Path(f"/proc/{space.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the server is gone")


def write_bad_videos(folder: Path) -> list[Path]:
    """Files that are no videos, or broken ones, each in a way of its own."""
    texts = {
        "page.mp4": "<html><body>Log in</body></html>",
        "pointer.mp4": "version https://git-lfs.github.com/spec/v1\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [
        *(folder / name for name in texts),
        bad_videos.write_sound_only(folder / "sound.mp4"),
        bad_videos.write_broken(folder / "broken.mp4"),
        bad_videos.write_unknown_codec(folder / "codec.mp4"),
        bad_videos.write_silent_codec(folder / "silent.mp4"),
    ]


def answer_to(client: Any, clip: Path) -> Any:
    """What a program gets for a clip: the answer, or the words of the refusal."""
    try:
        return client.predict(gradio_client.handle_file(str(clip)), api_name="/classify")
    except gradio_client.exceptions.AppError as error:
        return str(error)


class ClientThread(threading.Thread):
    """Classifies the clips one after the other, and now and then calls the other endpoints, until time is up.

    Each third of its files is a bad one.
    """

    def __init__(self, number: int, space: RunningSpace, clips: list[Path], bad: list[Path], end: float) -> None:
        super().__init__(daemon=True)
        self.number, self.clips, self.bad, self.end = number, clips, bad, end
        self.client = connect(space)
        self.waits: list[float] = []
        self.answers: dict[str, list[Any]] = {}
        self.errors: list[str] = []

    def run(self) -> None:
        turn = self.number
        while time.monotonic() < self.end:
            is_bad = turn % 3 == 2
            files = self.bad if is_bad else self.clips
            clip = files[turn // 3 % len(files)]
            started = time.monotonic()
            try:
                answer = answer_to(self.client, clip)
                self.waits.append(time.monotonic() - started)
                self.answers.setdefault(clip.name, []).append(answer)
                if turn % 8 == 0 and not is_bad:
                    self.client.predict(gradio_client.handle_file(str(clip)), api_name="/timeline")
                    self.client.predict(gradio_client.handle_file(str(clip.with_suffix(".png"))), api_name="/live")
                    self.client.predict(api_name="/about")
            except Exception as error:
                self.errors.append(repr(error))
            turn += 1


@dataclass(frozen=True)
class Lesson:
    """What one visitor teaches.

    Attributes:
        actions: Their clips.
        unseen: A clip to try.
    """

    actions: dict[str, list[Path]]
    unseen: Path

    def give(self, client: Any) -> tuple[str, list[Any]]:
        """Teach, learn and try; the session, and all answers."""
        answers = [
            client.predict(action, gradio_client.handle_file(str(clip)), api_name="/teach_clip")
            for action, clips in self.actions.items()
            for clip in clips
        ]
        answers.append(client.predict(False, api_name="/teach_learn"))
        (session,) = {answer.pop("session") for answer in answers}
        answers.append(client.predict(gradio_client.handle_file(str(self.unseen)), api_name="/teach_try"))
        return session, answers

    def check_that_it_is_nobody_elses(self, answers: list[Any]) -> None:
        *_, learned, tried = answers
        assert list(learned["actions"]) == learned["learned"]["labels"] == list(self.actions)
        assert sorted(row["label"] for row in tried["top"]) == sorted(self.actions)


def write_lesson(folder: Path, classes: dict[str, str]) -> Lesson:
    clips = {
        action: [
            write_video(folder / f"{label}-{number}.mp4", generate_frames(label, number, seed=3))
            for number in range(NUM_CLIPS_TAUGHT + 1)
        ]
        for action, label in classes.items()
    }
    return Lesson({action: of_action[1:] for action, of_action in clips.items()}, next(iter(clips.values()))[0])


class TeacherThread(threading.Thread):
    """Teaches its lesson as a new visitor each time, until time is up."""

    def __init__(self, space: RunningSpace, lesson: Lesson, end: float) -> None:
        super().__init__(daemon=True)
        self.space, self.lesson, self.end = space, lesson, end
        self.sessions: list[str] = []
        self.answers: list[list[Any]] = []
        self.errors: list[str] = []

    def run(self) -> None:
        while time.monotonic() < self.end:
            client = connect(self.space)
            try:
                session, answers = self.lesson.give(client)
                self.sessions.append(session)
                self.answers.append(answers)
            except Exception as error:
                self.errors.append(repr(error))
            finally:
                client.close()


def connect(space: RunningSpace) -> Any:
    return gradio_client.Client(space.url, verbose=False, analytics_enabled=False)


def is_forgotten(client: Any, session: str, clip: Path) -> bool:
    try:
        client.predict(gradio_client.handle_file(str(clip)), session=session, api_name="/teach_try")
    except gradio_client.exceptions.AppError as error:
        return "This session is not there" in str(error)
    return False


@pytest.fixture
def loaded_space(trained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    model = Path(os.environ.get("SPACE_LOAD_MODEL", trained_model))
    # So that it sees soon that a visitor has gone.
    with running_space(model, tmp_path_factory.mktemp("load"), GRADIO_HEARTBEAT_INTERVAL="1") as space:
        yield space


@pytest.mark.parametrize("seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.load)])
@pytest.mark.timeout(1800)
def test_eight_visitors_at_once_of_whom_two_teach(
    loaded_space: RunningSpace, screenshots: Path, tmp_path: Path, seconds: float
) -> None:
    from PIL import Image

    space = loaded_space
    clips = [write_video(tmp_path / f"{label}.mp4", generate_frames(label, 1, seed=3)) for label in ACTIONS]
    for clip, label in zip(clips, ACTIONS, strict=True):
        Image.fromarray(generate_frames(label, 1, seed=3)[0]).save(clip.with_suffix(".png"))
    bad, lessons = write_bad_videos(tmp_path), [write_lesson(tmp_path, classes) for classes in TAUGHT]
    first = connect(space)
    expected = {clip.name: answer_to(first, clip) for clip in (*clips, *bad)}
    assert all(isinstance(expected[clip.name], str) for clip in bad), expected
    assert not any(isinstance(expected[clip.name], str) for clip in clips), expected
    alone = [lesson.give(connect(space))[1] for lesson in lessons]

    started = time.monotonic()
    visitors = [ClientThread(number, space, clips, bad, started + seconds) for number in range(NUM_VISITORS)]
    teachers = [TeacherThread(space, lesson, started + seconds) for lesson in lessons]
    curve = memory_while(space, [*visitors, *teachers], started)
    report = report_of(visitors, teachers, bad, curve, seconds)
    if seconds == LONG:
        (screenshots / "load.txt").write_text(report)
        draw_memory(curve, screenshots / "load-memory.png")
    sys.stdout.write(f"\n{report}")

    errors = [*(visitor.errors for visitor in visitors), *(teacher.errors for teacher in teachers)]
    assert not any(errors), errors
    for visitor in visitors:
        for name, answers in visitor.answers.items():
            assert all(answer == expected[name] for answer in answers)
    for teacher, lesson, answers in zip(teachers, lessons, alone, strict=True):
        lesson.check_that_it_is_nobody_elses(answers)
        assert teacher.answers
        assert all(each == answers for each in teacher.answers)
        until = time.monotonic() + 30
        while not is_forgotten(first, teacher.sessions[-1], clips[0]):
            assert time.monotonic() < until
    assert wait_until_nothing_is_kept(space) == []
    if seconds == LONG:
        warm = [memory for moment, memory in curve if seconds / 4 < moment < seconds / 2]
        late = [memory for moment, memory in curve if moment > 3 * seconds / 4]
        assert np.median(late) < 1.05 * np.median(warm)
        assert memory_megabytes(space) < 1.05 * np.median(warm)


def memory_while(
    space: RunningSpace, threads: list[ClientThread | TeacherThread], started: float
) -> list[tuple[float, float]]:
    """Run the threads to their end; the server's memory at each second."""
    for thread in threads:
        thread.start()
    curve = []
    while any(thread.is_alive() for thread in threads):
        curve.append((time.monotonic() - started, memory_megabytes(space)))
        time.sleep(1)
    return curve


def report_of(
    visitors: list[ClientThread],
    teachers: list[TeacherThread],
    bad: list[Path],
    curve: list[tuple[float, float]],
    seconds: float,
) -> str:
    refused = sum(len(visitor.answers.get(clip.name, ())) for visitor in visitors for clip in bad)
    waits = np.array([wait for visitor in visitors for wait in visitor.waits])
    assert refused > len(waits) / 4
    memory = " ".join(f"{moment:.0f}s:{megabytes:.0f}" for moment, megabytes in curve[:: max(1, len(curve) // 12)])
    return (
        f"{len(visitors)} visitors and {len(teachers)} who teach, {seconds:.0f} s: "
        f"{len(waits)} answers, {refused} of them refusals; "
        f"{' and '.join(str(len(teacher.sessions)) for teacher in teachers)} times taught, learned, tried and left\n"
        f"wait: median {np.median(waits):.2f} s, 95th percentile {np.percentile(waits, 95):.2f} s\n"
        f"memory of the server, MB: {memory}\n"
    )


def draw_memory(curve: list[tuple[float, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*curve, strict=True))
    axes.set(xlabel="seconds", ylabel="memory of the server, MB", ylim=(0, None))
    figure.savefig(path)
