"""One path: the pipeline, the model and the prediction of clips agree, with this package installed and without."""

from __future__ import annotations

import ast
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline

import resnet_lstm
from conftest import numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, decode_video
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.data.video_folder import file_sha256
from resnet_lstm.features import UNIFORM, ClipFile, FeatureCache, extract_features
from resnet_lstm.inference import ClipPrediction, predict_clips

REMOTE_CODE = (
    "device_precision",
    "folded_backbone",
    "frame_reading",
    "configuration_resnet_lstm",
    "class_statistics",
    "known_score",
    "modeling_resnet_lstm",
    "video_damage",
    "hdr_tone_mapping",
    "video_decoding",
    "video_inputs",
    "video_processing_resnet_lstm",
    "video_seeking",
    "video_sources",
    "video_streams",
    "video_timeline",
)
WITHOUT_THE_PACKAGE = """
import json, sys
sys.modules["resnet_lstm"] = None  # as if it were not installed
from transformers import pipeline
classify = pipeline("video-classification", model=sys.argv[1], trust_remote_code=True)
print(json.dumps([{answer["label"]: answer["score"] for answer in classify(clip)} for clip in sys.argv[2:]]))
"""


def test_all_ways_to_a_prediction_give_the_same_logits(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    model_dir: Path,
    numbered_clip: Path,
    tmp_path: Path,
) -> None:
    with torch.no_grad():
        expected = tiny_model(tiny_processor(numbered_clip, return_tensors="pt")["pixel_values"]).logits[0]

    answers = pipeline("video-classification", model=str(model_dir))(str(numbered_clip))
    scores = torch.tensor([{a["label"]: a["score"] for a in answers}[label] for label in ("jump", "run", "swim")])
    torch.testing.assert_close(scores, expected.softmax(-1), rtol=0, atol=1e-6)

    (prediction,) = predict_clips(tiny_model, tiny_processor, [numbered_clip])
    assert isinstance(prediction, ClipPrediction)
    torch.testing.assert_close(torch.from_numpy(prediction.logits), expected, rtol=0, atol=1e-5)

    cache = FeatureCache(tmp_path / "cache", tiny_model.resnet_lstm, tiny_processor)
    clip = ClipFile(numbered_clip, file_sha256(numbered_clip))
    extract_features(tiny_model.resnet_lstm, tiny_processor, cache, [clip], [UNIFORM], num_workers=0)
    with torch.no_grad():
        from_cache = tiny_model(frame_features=cache.load(clip.sha256, UNIFORM)[None]).logits[0]
    torch.testing.assert_close(from_cache, expected, rtol=0, atol=1e-5)


def test_the_saved_model_works_where_the_package_is_not_installed(model_dir: Path, tmp_path: Path) -> None:
    clips = [str(write_video(tmp_path / f"clip.{s}", numbered_frames(20))) for s in ("avi", "mp4", "webm", "mov")]
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(model_dir), *clips],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    classify = pipeline("video-classification", model=str(model_dir))
    for clip, scores in zip(clips, json.loads(run.stdout.splitlines()[-1]), strict=True):
        expected = {answer["label"]: answer["score"] for answer in classify(clip)}
        assert scores == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def url(numbered_clip: Path) -> Iterator[str]:
    """Where `numbered_clip` is served."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(numbered_clip.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{numbered_clip.name}"
        server.shutdown()


def scores_of(answers: list[dict[str, Any]]) -> dict[str, float]:
    return {answer["label"]: answer["score"] for answer in answers}


def test_the_pipeline_takes_a_path_a_url_and_lists_of_both(model_dir: Path, numbered_clip: Path, url: str) -> None:
    classify = pipeline("video-classification", model=str(model_dir))
    expected = pytest.approx(scores_of(classify(str(numbered_clip))), abs=1e-6)
    assert scores_of(classify(url)) == expected
    answers = classify([str(numbered_clip), url, str(numbered_clip)])
    assert [scores_of(answer) for answer in answers] == [expected] * 3
    frames = decode_video(numbered_clip, 6).frames
    assert scores_of(classify({"path": None, "bytes": numbered_clip.read_bytes()})) == expected
    assert scores_of(classify(frames)) == expected


def test_the_pipeline_samples_as_many_frames_as_it_is_told(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    model_dir: Path,
    numbered_clip: Path,
) -> None:
    scores = scores_of(pipeline("video-classification", model=str(model_dir))(str(numbered_clip), num_frames=3))
    with torch.no_grad():
        logits = tiny_model(**tiny_processor(numbered_clip, num_frames=3, return_tensors="pt")).logits[0]
    for label, score in zip(("jump", "run", "swim"), logits.softmax(-1).tolist(), strict=True):
        assert scores[label] == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_pipeline_answers_alike_in_every_precision(
    knowing_model: ResNetLSTMForVideoClassification,
    model_dir: Path,
    tiny_dataset: VideoFolder,
    dtype: torch.dtype,
) -> None:
    # Divided by deviations as small as those of real features, the squares are more than float16 has numbers for.
    size = knowing_model.config.hidden_size
    knowing_model.resnet_lstm.set_feature_statistics(torch.zeros(size), torch.full((size,), 1e-5))
    knowing_model.save_pretrained(model_dir)
    clips = [str(tiny_dataset.path("test", clip)) for clip in tiny_dataset.clips("test")]
    expected, answers = (
        pipeline("video-classification", model=str(model_dir), dtype=each)(clips) for each in (torch.float32, dtype)
    )
    for scores, precise in zip(map(scores_of, answers), map(scores_of, expected), strict=True):
        assert scores == pytest.approx(precise, abs=0.01)


@pytest.mark.parametrize("module", REMOTE_CODE)
def test_remote_code_needs_nothing_that_a_user_of_the_hub_lacks(module: str) -> None:
    source = Path(resnet_lstm.__file__).with_name(f"{module}.py").read_text()
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, "remote code is flat"
            assert node.module in REMOTE_CODE
    allowed = {"av", "huggingface_hub", "numpy", "torch", "torchvision", "transformers"}
    assert imported - allowed <= sys.stdlib_module_names


def test_a_saved_model_carries_all_of_its_code(model_dir: Path) -> None:
    assert {path.stem for path in model_dir.glob("*.py")} == set(REMOTE_CODE)
    config = json.loads((model_dir / "config.json").read_text())
    assert config["auto_map"]["AutoModelForVideoClassification"].startswith("modeling_resnet_lstm.")
