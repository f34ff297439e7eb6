from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.inference import ClipPrediction, predict_clips


def test_a_notebook_shows_answers_and_frames(
    knowing_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    prediction = next(predict_clips(knowing_model, tiny_processor, [numbered_clip]))
    assert isinstance(prediction, ClipPrediction)
    html = prediction._repr_html_()
    assert "numbered.mp4" in html
    assert str(numbered_clip.parent) not in html
    assert [name for name in knowing_model.config.id2label.values() if name not in html] == []
    assert f"{prediction.known_score:.0%}" in html
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", html)
    assert len(pictures) == len(prediction.frames)
    first = Image.open(io.BytesIO(base64.b64decode(pictures[0])))
    assert max(first.size) <= 96
    assert abs(np.asarray(first).mean() - prediction.frames[0].mean()) < 4


def test_names_are_text_and_not_markup() -> None:
    prediction = ClipPrediction(
        source="<script>.mp4",
        logits=np.array([1.0, 0.0], np.float32),
        frame_logits=np.array([[1.0, 0.0]], np.float32),
        frames=np.zeros((1, 8, 8, 3), np.uint8),
        seconds=np.zeros(1),
        id2label={0: "<b>run</b>"},
    )
    html = prediction._repr_html_()
    assert "<script>" not in html
    assert "<b>run" not in html
    assert "&lt;b&gt;run" in html
    assert "<td>26.9 %</td>" in html  # of a label without a name
