"""Inference Endpoints run the handler of a published model as it lies there."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from resnet_lstm.publishing import prepare_model


@pytest.fixture
def handler(trained_dir: Path, tmp_path: Path) -> Any:
    """The published handler, in a folder of what was published."""
    folder = tmp_path / "repository"
    for name, content in prepare_model(trained_dir, "someone/tiny").files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    spec = importlib.util.spec_from_file_location("handler", folder / "handler.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(folder))


def test_it_answers_as_the_pipeline_does(handler: Any, trained_dir: Path, numbered_clip: Path) -> None:
    expected = pipeline("video-classification", model=str(trained_dir))(str(numbered_clip), top_k=2)
    clip = numbered_clip.read_bytes()
    for inputs in (clip, base64.b64encode(clip).decode()):
        answers = handler({"inputs": inputs, "parameters": {"top_k": 2}})
        assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
        assert [answer["score"] for answer in answers] == pytest.approx([answer["score"] for answer in expected])
    assert len(handler({"inputs": clip})) == 3


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "not NoneType"),
        ({"inputs": "/etc/passwd"}, "A path or a URL is not opened"),
        ({"inputs": "https://example.org/clip.mp4"}, "A path or a URL is not opened"),
        ({"inputs": b"no video"}, "video"),
        ({"inputs": b"", "parameters": {"top_k": 0}}, "top_k=0"),
    ],
)
def test_what_is_no_clip_is_refused(handler: Any, data: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        handler(data)
