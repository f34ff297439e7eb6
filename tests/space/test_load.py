"""Many clients at once, a third of their files bad, for minutes: `pytest -m load -s`.

The figures are printed, and the memory's curve is drawn.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bad_videos
from resnet_lstm.data.generated_clips import generate_frames
from resnet_lstm.data.video_encoding import write_video
from space_fixtures import ACTIONS, RunningSpace, running_space

gradio_client = pytest.importorskip("gradio_client")

NUM_CLIENTS = 8
SECONDS = float(os.environ.get("SPACE_LOAD_SECONDS", "120"))


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
        self.client = gradio_client.Client(space.url, verbose=False, analytics_enabled=False)
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


@pytest.mark.load
@pytest.mark.timeout(1800)
def test_eight_clients_for_two_minutes(
    trained_model: Path, screenshots: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    model = Path(os.environ.get("SPACE_LOAD_MODEL", trained_model))
    clips = [write_video(tmp_path / f"{label}.mp4", generate_frames(label, 1, seed=3)) for label in ACTIONS]
    for clip, label in zip(clips, ACTIONS, strict=True):
        Image.fromarray(generate_frames(label, 1, seed=3)[0]).save(clip.with_suffix(".png"))
    bad = write_bad_videos(tmp_path)
    with running_space(model, tmp_path_factory.mktemp("load")) as space:
        first = gradio_client.Client(space.url, verbose=False, analytics_enabled=False)
        expected = {clip.name: answer_to(first, clip) for clip in (*clips, *bad)}
        assert all(isinstance(expected[clip.name], str) for clip in bad), expected
        assert not any(isinstance(expected[clip.name], str) for clip in clips), expected
        started = time.monotonic()
        clients = [ClientThread(number, space, clips, bad, started + SECONDS) for number in range(NUM_CLIENTS)]
        for client in clients:
            client.start()
        curve: list[tuple[float, float]] = []
        while any(client.is_alive() for client in clients):
            curve.append((time.monotonic() - started, memory_megabytes(space)))
            time.sleep(1)
        refused = sum(len(client.answers.get(clip.name, ())) for client in clients for clip in bad)
        waits = np.array([wait for client in clients for wait in client.waits])
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(*zip(*curve, strict=True))
        axes.set(xlabel="seconds", ylabel="memory of the server, MB", ylim=(0, None))
        figure.savefig(screenshots / "load-memory.png")
        memory = " ".join(f"{seconds:.0f}s:{megabytes:.0f}" for seconds, megabytes in curve[:: len(curve) // 12])
        report = (
            f"{NUM_CLIENTS} clients, {SECONDS:.0f} s, {len(waits)} answers, {refused} of them refusals\n"
            f"wait: median {np.median(waits):.2f} s, 95th percentile {np.percentile(waits, 95):.2f} s\n"
            f"memory of the server, MB: {memory}\n"
        )
        (screenshots / "load.txt").write_text(report)
        sys.stdout.write(f"\n{report}")
        assert [error for client in clients for error in client.errors] == []
        for client in clients:
            for name, answers in client.answers.items():
                assert all(answer == expected[name] for answer in answers)
        assert refused > len(waits) / 4
        warm = [memory for seconds, memory in curve if SECONDS / 4 < seconds < SECONDS / 2]
        late = [memory for seconds, memory in curve if seconds > 3 * SECONDS / 4]
        assert np.median(late) < 1.05 * np.median(warm)
        assert space.kept_files() == []
