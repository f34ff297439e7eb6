"""A published model is loaded as its users load it: in fresh processes that know nothing but where the Hub is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hub_processes import Publisher, hub_environment, make_bare_environment, run_python
from loopback_hub import LoopbackHub
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor

REPO = "someone/tiny"
# Prints, for each revision, the logits by the Auto classes and the scores by the pipeline.
LOAD = """
import importlib.util, json, sys
import torch
from transformers import AutoConfig, AutoModelForVideoClassification, AutoVideoProcessor, pipeline
repo, clip, *revisions = sys.argv[1:]
assert importlib.util.find_spec("resnet_lstm") is None
answers = {}
for revision in revisions:
    remote = {"trust_remote_code": True, "revision": revision}
    config = AutoConfig.from_pretrained(repo, **remote)
    processor = AutoVideoProcessor.from_pretrained(repo, **remote)
    model = AutoModelForVideoClassification.from_pretrained(repo, **remote)
    with torch.no_grad():
        logits = model(**processor(clip, return_tensors="pt")).logits[0]
    scores = pipeline("video-classification", model=repo, **remote)(clip)
    answers[revision] = {
        "logits": logits.tolist(),
        "scores": {answer["label"]: answer["score"] for answer in scores},
        "labels": config.id2label,
    }
print(json.dumps(answers))
"""
LOAD_WITH_THE_PACKAGE = """
import json, sys
import torch
import resnet_lstm
from transformers import AutoModelForVideoClassification, AutoVideoProcessor
repo, clip = sys.argv[1:]
model, processor = (auto.from_pretrained(repo) for auto in (AutoModelForVideoClassification, AutoVideoProcessor))
assert type(model) is resnet_lstm.ResNetLSTMForVideoClassification
with torch.no_grad():
    print(json.dumps(model(**processor(clip, return_tensors="pt")).logits[0].tolist()))
"""


def logits_of(directory: Path, clip: Path) -> torch.Tensor:
    model = ResNetLSTMForVideoClassification.from_pretrained(directory)
    processor = ResNetLSTMVideoProcessor.from_pretrained(directory)
    with torch.no_grad():
        return model(**processor(clip, return_tensors="pt")).logits[0]


def assert_same(answer: dict[str, Any], expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.tensor(answer["logits"]), expected, rtol=0, atol=1e-5)
    scores = torch.tensor([answer["scores"][label] for label in answer["labels"].values()])
    torch.testing.assert_close(scores, expected.softmax(-1), rtol=0, atol=1e-5)


def test_a_published_model_loads_everywhere_with_equal_logits(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path, numbered_clip: Path, tmp_path: Path
) -> None:
    publish("model", trained_dir, "--repo", REPO)
    pinned = loopback_hub.repository(REPO).refs["main"]
    before = logits_of(trained_dir, numbered_clip)
    weights = load_file(trained_dir / "model.safetensors")
    save_file(
        weights | {"classifier.bias": weights["classifier.bias"] + torch.tensor([1.0, 0.0, -1.0])},
        trained_dir / "model.safetensors",
        metadata={"format": "pt"},
    )
    publish("model", trained_dir, "--repo", REPO)
    after = logits_of(trained_dir, numbered_clip)
    assert not torch.allclose(before, after, atol=0.1)

    python = make_bare_environment(tmp_path / "bare", "transformers", "torch", "torchvision", "av")
    environment = hub_environment(loopback_hub.url, tmp_path / "home")
    del environment["PYTHONPATH"]
    arguments = (REPO, numbered_clip, pinned, "main")
    online = json.loads(run_python(LOAD, *arguments, environment=environment, python=python))
    assert_same(online[pinned], before)
    assert_same(online["main"], after)

    asked = len(loopback_hub.requests)
    offline = environment | {"HF_HUB_OFFLINE": "1"}
    assert json.loads(run_python(LOAD, *arguments, environment=offline, python=python)) == online
    assert len(loopback_hub.requests) == asked

    with_package = hub_environment(loopback_hub.url, tmp_path / "other-home")
    logits = json.loads(run_python(LOAD_WITH_THE_PACKAGE, REPO, numbered_clip, environment=with_package))
    torch.testing.assert_close(torch.tensor(logits), after, rtol=0, atol=1e-5)


def test_a_published_model_loads_with_other_versions_of_transformers(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path, numbered_clip: Path, tmp_path: Path
) -> None:
    """TRANSFORMERS_PATHS names folders that `pip install --target` has put other versions into."""
    paths = os.environ.get("TRANSFORMERS_PATHS")
    if not paths:
        pytest.skip("TRANSFORMERS_PATHS is not set")
    publish("model", trained_dir, "--repo", REPO)
    expected = logits_of(trained_dir, numbered_clip)
    python = make_bare_environment(tmp_path / "bare", "transformers", "torch", "torchvision", "av")
    for number, path in enumerate(paths.split(os.pathsep)):
        environment = hub_environment(loopback_hub.url, tmp_path / f"home-{number}") | {"PYTHONPATH": path}
        answer = json.loads(run_python(LOAD, REPO, numbered_clip, "main", environment=environment, python=python))
        assert_same(answer["main"], expected)
