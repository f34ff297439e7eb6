from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from about_view import about_view, known_actions_view
from clip_view import clip_record, clip_view
from resnet_lstm import ResNetLSTMConfig
from resnet_lstm.inference import ClipPrediction, Segment, Thumbnail, Timeline
from resnet_lstm.video_damage import Damage
from timeline_view import timeline_view
from view_parts import in_words, percent, refusal

SPITEFUL = "<script>alert(1)</script>"


def prediction(best: float = 3.0) -> ClipPrediction:
    frame_logits = np.zeros((4, 3), np.float32)
    frame_logits[:, 1] = [best, -1, best, 2 * best]
    return ClipPrediction(
        source="clip.mp4",
        logits=frame_logits.mean(axis=0),
        frame_logits=frame_logits,
        frames=np.zeros((4, 24, 32, 3), np.uint8),
        seconds=np.array([0.5, 1.5, 2.5, 3.5]),
    )


def config(*labels: str) -> ResNetLSTMConfig:
    return ResNetLSTMConfig(id2label=dict(enumerate(labels or ("jump", "TaiChi", "swim"))))


def timeline() -> Timeline:
    segments = [Segment("TaiChi", 0, 3, 0.9), Segment(None, 3, 4, 0.3), Segment("=jump", 4, 6, 0.8)]
    return Timeline(
        label_names=["=jump", "TaiChi"],
        fps=1,
        seconds=np.arange(6) + 0.5,
        scores=np.full((6, 2), 0.5, np.float32),
        known=np.full(6, 0.9, np.float32),
        segments=segments,
        thumbnails=[Thumbnail(0.5, np.zeros((24, 32, 3), np.uint8))],
    )


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("ApplyEyeMakeup", "Apply eye makeup"),
        ("green_to_red", "Green to red"),
        ("YoYo", "Yo yo"),
        ("playing guitar", "playing guitar"),
        ("TVShow2", "TV show 2"),
        ("跳", "跳"),
    ],
)
def test_labels_are_put_in_words(label: str, words: str) -> None:
    assert in_words(label) == words


def test_what_is_nearly_certain_is_not_called_certain() -> None:
    assert [percent(part).replace("\N{NO-BREAK SPACE}", " ") for part in (0.999, 1.0, 0.5, 0.001, 0.0)] == [
        "> 99 %",
        "100 %",
        "50 %",
        "< 1 %",
        "0 %",
    ]


def test_the_answer_is_in_words_and_each_frame_tells_its_share() -> None:
    html = clip_view(prediction(), config(), "clip.mp4")
    assert "<h2>Tai chi</h2>" in html
    assert html.count('type="radio"') == 4
    assert html.count(" checked") == 1
    spoken = re.findall(r'aria-label="(Frame [^"]*)"', html)
    assert spoken[3].startswith("Frame 4 of 4, at 3.5 seconds: Tai chi")
    shares = [float(share) for share in re.findall(r"([+-]\d+) % of the decision\"", html)[::2]]
    assert shares == pytest.approx([round(100 * share) for share in prediction().frame_shares()])
    assert "Tai chi leads from" in html


def test_a_low_score_is_called_a_guess() -> None:
    html = clip_view(prediction(best=0.2), config(), "clip.mp4")
    assert "I am not sure" in html
    assert "?</h2>" in html


def test_none_of_my_actions_is_said_when_it_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown, settings = prediction(), config()
    object.__setattr__(unknown, "known_score", 0.1)
    object.__setattr__(settings, "known_threshold", 0.4)
    assert "<h2>None of my actions</h2>" in clip_view(unknown, settings, "clip.mp4")
    record = clip_record(unknown, settings)
    assert (record["known"], record["none_of_my_actions"]) == (0.1, True)


def test_what_is_like_the_background_is_none_of_my_actions() -> None:
    settings = config("jump", "background", "swim")
    object.__setattr__(settings, "background_label_id", 1)
    html = clip_view(prediction(), settings, "clip.mp4")
    assert "<h2>None of my actions</h2>" in html
    assert "The nearest would be" not in html
    assert clip_record(prediction(), settings)["none_of_my_actions"]


@pytest.mark.parametrize("view", ["clip", "timeline", "refusal"])
def test_nothing_of_a_name_or_a_label_becomes_markup(view: str) -> None:
    html = {
        "clip": lambda: clip_view(prediction(), config(SPITEFUL, f"a {SPITEFUL}", "b"), SPITEFUL),
        "timeline": lambda: timeline_view(timeline(), f"{SPITEFUL}.mp4"),
        "refusal": lambda: refusal(SPITEFUL),
    }[view]()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_timeline_offers_its_table_as_files() -> None:
    html = timeline_view(timeline(), "match.mp4")
    files = {
        name: base64.b64decode(content).decode()
        for name, content in re.findall(r'download="([^"]*)" href="data:[^,]*,([^"]*)"', html)
    }
    rows = list(csv.DictReader(io.StringIO(files["match.csv"])))
    assert [(row["action"], row["start"], row["end"]) for row in rows] == [
        ("TaiChi", "0", "3"),
        ("", "3", "4"),
        ("'=jump", "4", "6"),
    ]
    assert json.loads(files["match.json"]) == timeline().to_dict()


def test_about_shows_the_figures_of_the_model(trained_model: Path) -> None:
    html, limits = about_view(str(trained_model))
    metrics = json.loads((trained_model / "metrics.json").read_text())
    assert f"{100 * metrics['top1']['value']:.1f} %" in html
    assert html.count("<rect") == 9
    assert "The set of actions is closed" in limits
    assert "The 3 actions I know" in known_actions_view(str(trained_model))


def test_about_tells_what_order_is_worth_to_a_model_that_reads_it(trained_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained_model, tmp_path / "model")
    metrics = json.loads((model / "metrics.json").read_text())
    metrics["lost"] = {"with frames shuffled": {"value": 0.014, "low": 0.0, "high": 0.043}}
    (model / "metrics.json").write_text(json.dumps(metrics))
    html = about_view(str(model))[0]
    assert "What order is worth" in html
    assert "<td>-1.4 points</td><td>-4.3 to +0.0</td>" in html
    metrics["lost"] = {}
    (model / "metrics.json").write_text(json.dumps(metrics))
    assert "What order is worth" not in about_view(str(model))[0]


def test_about_a_model_without_figures(tmp_path: Path) -> None:
    html, limits = about_view(str(tmp_path))
    assert "No figures are published" in html
    assert "The set of actions is closed" in limits


def test_damage_is_told_beside_the_answer() -> None:
    damage = Damage(num_frames=64, num_missing=12)
    told = "12 of 64 frames are damaged or missing"
    clip = replace(prediction(), damage=damage)
    assert told in clip_view(clip, config(), "clip.mp4")
    assert told in timeline_view(replace(timeline(), damage=damage), "video.mp4")
    assert "damaged" not in clip_view(prediction(), config(), "clip.mp4")
