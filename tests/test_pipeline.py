"""One path: the pipeline, the model and the prediction of clips agree, with this package installed and without."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import pipeline

import resnet_lstm
from conftest import numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.data.video_folder import file_sha256
from resnet_lstm.features import UNIFORM, ClipFile, FeatureCache, extract_features
from resnet_lstm.inference import ClipPrediction, predict_clips

REMOTE_CODE = (
    "device_precision",
    "folded_backbone",
    "configuration_resnet_lstm",
    "known_score",
    "modeling_resnet_lstm",
    "video_decoding",
    "video_processing_resnet_lstm",
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
