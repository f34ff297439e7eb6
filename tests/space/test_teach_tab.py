"""Teaching in the Space: what is learned, that it is the visitor's alone, and the file that is taken along."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import Engine
from limits import VideoRefusedError
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.inference import ClipPrediction, load_model, predict_clips
from resnet_lstm.teaching import TaughtModel, teach
from space_fixtures import RunningSpace, wait_until_nothing_is_kept
from steps import Progress
from taught_file import MODEL_NAME, read_zip, write_zip
from teach_session import MAX_ACTIONS, ClipToLearn, TeachSession

gradio_client = pytest.importorskip("gradio_client")

NEW = ("darken", "shrink")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of each of `NEW`."""
    return write_generated_clips(tmp_path_factory.mktemp("to-teach") / "clips", 4, classes=NEW)


@pytest.fixture
def connect(space: RunningSpace) -> Iterator[Callable[[], Any]]:
    """Makes clients, each with a session of its own; in the end the server keeps no file of any."""
    yield lambda: gradio_client.Client(space.url, verbose=False, analytics_enabled=False)
    assert wait_until_nothing_is_kept(space) == []


def give(client: Any, clips: Path, actions: tuple[str, ...] = NEW, num_clips: int = 3) -> dict[str, Any]:
    for action in actions:
        for clip in sorted((clips / action).iterdir())[:num_clips]:
            answer = client.predict(action, gradio_client.handle_file(str(clip)), api_name="/teach_clip")
    return answer


def test_what_is_taught_in_the_page_is_what_the_package_teaches(
    connect: Callable[[], Any], trained_model: Path, clips: Path
) -> None:
    client = connect()
    assert list(give(client, clips)["actions"]) == list(NEW)
    learned = client.predict(True, api_name="/teach_learn")["learned"]
    assert (learned["clips"], len(learned["labels"])) == (6, 5)
    model, processor = load_model(str(trained_model))
    given = {action: sorted((clips / action).iterdir())[:3] for action in NEW}
    taught = teach(model, processor, given)
    assert learned["labels"] == list(taught.report.label_names)
    assert learned["recognised"] == int((taught.report.logits.argmax(axis=1) == taught.report.labels).sum())
    unseen = [sorted((clips / action).iterdir())[3] for action in NEW]
    for clip, expected in zip(unseen, predict_clips(taught.model, processor, unseen, num_workers=0), strict=True):
        assert isinstance(expected, ClipPrediction)
        answer = client.predict(gradio_client.handle_file(str(clip)), api_name="/teach_try")
        scores = {learned["labels"][index]: float(score) for index, score in enumerate(expected.scores)}
        assert {row["label"]: row["score"] for row in answer["top"]} == pytest.approx(scores, abs=1e-4)


def test_visitors_do_not_see_one_another(connect: Callable[[], Any], clips: Path) -> None:
    one, other = connect(), connect()
    give(one, clips, num_clips=2)
    answer = give(other, clips, actions=("shrink",), num_clips=1)
    assert list(answer["actions"]) == ["shrink"]
    with pytest.raises(gradio_client.exceptions.AppError, match="Two actions are the least"):
        other.predict(False, api_name="/teach_learn")
    assert one.predict(False, api_name="/teach_learn")["learned"]["labels"] == list(NEW)
    with pytest.raises(gradio_client.exceptions.AppError, match="Learn your actions first"):
        other.predict(gradio_client.handle_file(str(next((clips / "darken").iterdir()))), api_name="/teach_try")


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (" ", "Name the action first"),
        ("=cmd()", "begins with one of"),
        ("a" * 61, "61 letters"),
        ("a\x1b[31m", "control characters"),
    ],
)
def test_a_name_that_would_do_harm_is_refused(
    connect: Callable[[], Any], clips: Path, action: str, message: str
) -> None:
    clip = gradio_client.handle_file(str(next((clips / "darken").iterdir())))
    with pytest.raises(gradio_client.exceptions.AppError, match=message):
        connect().predict(action, clip, api_name="/teach_clip")


def test_a_session_has_room_for_so_much(clips: Path) -> None:
    session = TeachSession()
    path = next((clips / "darken").iterdir())
    for number in range(MAX_ACTIONS):
        session.add(session.name_of(f"action {number}"), _clip(str(number)))
    assert session.name_of("ACTION  3 ") == "action 3"
    with pytest.raises(VideoRefusedError, match="20 actions already"):
        session.name_of("one more")
    session.actions["action 0"].append(_clip(session.check_room("action 1", path)))
    with pytest.raises(VideoRefusedError, match="is a clip of action 0 already"):
        session.check_room("action 1", path)
    session.actions["action 1"] *= 30
    with pytest.raises(VideoRefusedError, match="30 clips"):
        session.check_room("action 1", path)
    session.take_back("action 2")
    assert "action 2" not in session.actions


def _clip(sha256: str) -> ClipToLearn:
    return ClipToLearn("clip.mp4", sha256, torch.zeros(16, 1), "")


@pytest.fixture(scope="module")
def taught(engine: Engine, clips: Path) -> TaughtModel:
    """What the engine has learned of `NEW`, beside what it knew."""
    features: dict[str, list[torch.Tensor]] = {}
    for action in NEW:
        for clip in sorted((clips / action).iterdir()):
            *_, read = engine.read_clip(str(clip))
            assert not isinstance(read, Progress)
            features.setdefault(action, []).append(read[0])
    *_, taught = engine.teach(features, None, keep=True)
    assert isinstance(taught, TaughtModel)
    return taught


@pytest.fixture(scope="module")
def packed(taught: TaughtModel, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / f"{MODEL_NAME}.zip"
    write_zip(path, taught, engine.model()[1], engine.name)
    return path


def test_a_taught_model_costs_no_backbone_of_its_own(taught: TaughtModel, engine: Engine) -> None:
    assert taught.model.resnet_lstm is engine.model()[0].resnet_lstm


def test_what_is_taken_along_loads_without_the_package(
    packed: Path, taught: TaughtModel, engine: Engine, clips: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    clip = next((clips / "shrink").iterdir())
    program = (
        "import json, sys\n"
        "sys.modules['resnet_lstm'] = None\n"
        "from transformers import pipeline\n"
        "classify = pipeline('video-classification', model=sys.argv[1], trust_remote_code=True)\n"
        "print(json.dumps({answer['label']: answer['score'] for answer in classify(sys.argv[2], top_k=5)}))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / MODEL_NAME), str(clip)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    answer = json.loads(run.stdout.splitlines()[-1])
    *_, here = engine.classify(str(clip), taught.model)
    assert not isinstance(here, Progress)
    for index, label in taught.model.config.id2label.items():
        assert answer[label] == pytest.approx(float(here.scores[index]), abs=0.02)  # the precisions differ


def test_what_is_brought_back_is_what_was_taken_along(packed: Path, taught: TaughtModel, engine: Engine) -> None:
    model = read_zip(packed, engine.model()[0])
    assert model.config.id2label == taught.model.config.id2label
    assert model.resnet_lstm is engine.model()[0].resnet_lstm
    features = torch.rand(2, 16, engine.config.frame_feature_size)
    ours, theirs = model(frame_features=features), taught.model(frame_features=features)
    torch.testing.assert_close(ours.logits, theirs.logits)
    torch.testing.assert_close(ours.known_score, theirs.known_score)
    # It can be taught further.
    *_, again = engine.teach({"circle": [torch.rand(16, features.shape[2]) for _ in range(2)]}, model, keep=True)
    assert isinstance(again, TaughtModel)
    assert list(again.model.config.id2label.values()) == [*model.config.id2label.values(), "circle"]


def _changed(packed: Path, target: Path, changes: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as changed:
        for name in archive.namelist():
            content = changes.get(name.removeprefix(f"{MODEL_NAME}/"))
            changed.writestr(name, archive.read(name) if content is None else content)
    return target


def _config(packed: Path, **fields: Any) -> bytes:
    with zipfile.ZipFile(packed) as archive:
        return json.dumps({**json.loads(archive.read(f"{MODEL_NAME}/config.json")), **fields}).encode()


def test_a_file_that_is_none_of_ours_is_refused(packed: Path, engine: Engine, tmp_path: Path) -> None:
    hostile: dict[str, bytes | dict[str, bytes]] = {
        "no zip": b"PK of nothing",
        "no json": {"config.json": b"{"},
        "a bomb": {"config.json": b" " * (2 * 2**20)},
        "a pickle": {"model.safetensors": b"\x80\x04cos\nsystem\n(S'exit'\ntR."},
        "markup": {"config.json": _config(packed, id2label={"0": "\x1b[31m", "1": "b"})},
        "too many": {"config.json": _config(packed, id2label={str(n): str(n) for n in range(2000)})},
        "other labels": {"config.json": _config(packed, id2label={"0": "a", "1": "b"})},
        "directions": {"config.json": _config(packed, num_class_directions=10**9)},
        "temperature": {"config.json": _config(packed, temperature="hot")},
    }
    for name, what in hostile.items():
        path = tmp_path / f"{name}.zip"
        if isinstance(what, bytes):
            path.write_bytes(what)
        else:
            _changed(packed, path, what)
        with pytest.raises(VideoRefusedError):
            read_zip(path, engine.model()[0])


def test_a_model_taught_from_another_one_is_refused(packed: Path, engine: Engine) -> None:
    other = Engine(engine.name)
    other.start_loading()
    model, _ = other.model()
    with torch.no_grad():
        next(model.resnet_lstm.backbone.parameters()).mul_(1.01)
    with pytest.raises(VideoRefusedError, match="another model than the one of this Space"):
        read_zip(packed, model)
