from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from resnet_lstm.inference import EXPORT_FORMATS, Export, load_model
from resnet_lstm.inference.runtimes import load_graph

SIZES = [(1, 1), (2, 3), (3, 6), (1, 20)]


@pytest.mark.parametrize("runtime", EXPORT_FORMATS)
@pytest.mark.parametrize(("batch_size", "num_frames"), SIZES)
@torch.inference_mode()
def test_a_graph_is_the_whole_model_for_any_number_of_clips_and_frames(
    exported_model_dir: Path, runtime: str, batch_size: int, num_frames: int
) -> None:
    model, _ = load_model(str(exported_model_dir), precision="fp32")
    graph = load_graph(runtime, exported_model_dir / Export(runtime).files[0])
    pixel_values = torch.randn(batch_size, num_frames, 3, 32, 32)
    expected = model(pixel_values, output_frame_features=True)
    logits, frame_logits, frame_features = graph(pixel_values)
    torch.testing.assert_close(logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(frame_logits, expected.frame_logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(frame_features, expected.frame_features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", EXPORT_FORMATS)
@torch.inference_mode()
def test_a_model_of_another_runtime_is_called_as_ever(exported_model_dir: Path, runtime: str) -> None:
    expected, _ = load_model(str(exported_model_dir), precision="fp32")
    model, _ = load_model(str(exported_model_dir), runtime=runtime, precision="fp32")
    pixel_values = torch.randn(2, 20, 3, 32, 32)
    outputs = model(pixel_values, output_frame_features=True)
    torch.testing.assert_close(outputs.logits, expected(pixel_values).logits, rtol=1e-4, atol=1e-5)
    from_features = model(frame_features=outputs.frame_features)
    torch.testing.assert_close(from_features.frame_logits, outputs.frame_logits)
    # Frame by frame, as a stream comes.
    state, frame_logits = None, []
    for frame in pixel_values.split(1, dim=1):
        step = model(frame, lstm_state=state)
        state = step.lstm_state
        frame_logits.append(step.frame_logits)
    torch.testing.assert_close(torch.cat(frame_logits, dim=1), outputs.frame_logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", EXPORT_FORMATS)
@torch.inference_mode()
def test_int8_stays_near_and_leaves_the_head_alone(exported_model_dir: Path, runtime: str) -> None:
    model, _ = load_model(str(exported_model_dir), precision="fp32")
    graph = load_graph(runtime, exported_model_dir / Export(runtime, int8=True).files[0])
    pixel_values = torch.randn(2, 5, 3, 32, 32)
    expected = model(pixel_values, output_frame_features=True)
    _, frame_logits, frame_features = graph(pixel_values)
    cosine = torch.nn.functional.cosine_similarity(frame_features, expected.frame_features, dim=-1)
    assert 0.99 < cosine.min() < 0.9999999
    of_the_same_features = model(frame_features=frame_features).frame_logits
    torch.testing.assert_close(frame_logits, of_the_same_features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", EXPORT_FORMATS)
def test_threads_may_share_a_graph(exported_model_dir: Path, runtime: str) -> None:
    graph = load_graph(runtime, exported_model_dir / Export(runtime).files[0], ["frame_features"])
    clips = [torch.randn(1, 1 + index % 4, 3, 32, 32) for index in range(24)]
    expected = [graph(clip)[0] for clip in clips]
    with ThreadPoolExecutor(6) as pool:
        for alone, shared in zip(expected, pool.map(graph, clips), strict=True):
            torch.testing.assert_close(shared[0], alone)


@pytest.mark.parametrize("runtime", EXPORT_FORMATS)
@torch.inference_mode()
def test_frames_of_another_size_are_refused(exported_model_dir: Path, runtime: str) -> None:
    model, _ = load_model(str(exported_model_dir), runtime=runtime, precision="fp32")
    with pytest.raises(ValueError, match=r"\[3, 40, 32\]: the exported model takes \[3, 32, 32\]"):
        model(torch.randn(1, 2, 3, 40, 32))


@pytest.mark.parametrize(("runtime", "module"), [("openvino", "openvino"), ("onnx", "onnxruntime")])
def test_a_missing_runtime_names_the_extra(
    exported_model_dir: Path, runtime: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'resnet-lstm\[{runtime}\]'"):
        load_model(str(exported_model_dir), runtime=runtime, precision="fp32")
