"""What a GPU is timed by, timed on a CPU: that it runs and what it compares, not how fast."""

from __future__ import annotations

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.benchmarking.device import time_device
from resnet_lstm.data import VideoFolder
from resnet_lstm.features import clip_files


def test_each_part_has_a_reference_of_its_own(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tiny_dataset: VideoFolder
) -> None:
    figures = time_device(tiny_model, tiny_processor, clip_files(tiny_dataset, "test"), 2)
    names = {figure.part: [f.name for f in figures if f.part == figure.part] for figure in figures}
    assert len(names) == 4
    assert names["extraction by default settings"][-1] == "extraction from files"
    assert names["a frame, torch on cpu"][-1] == "in a live session, torch on cpu"
    assert names["training all of the model"][-1] == "training step"
    for figure in figures:
        assert figure.rounds == 2
        assert figure.seconds is not None
        assert figure.seconds > 0
        if figure.name == figure.relative_to:
            assert figure.median == 1
    # Of decoding and computing the slower one is what nothing can be faster than.
    extraction = figures[:3]
    reference = next(figure for figure in extraction if figure.name == figure.relative_to)
    assert reference in extraction[:2]
