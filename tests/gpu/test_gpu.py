"""What holds on a CPU holds on a GPU too. Skipped by name where there is none."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.benchmarking.device import time_device
from resnet_lstm.data import VideoFolder
from resnet_lstm.device_precision import backbone_dtype, best_device
from resnet_lstm.features import UNIFORM, FeatureCache, View, clip_files, extract_features
from resnet_lstm.feeding import DeviceFeeder, HalvingBatches
from resnet_lstm.inference import ClipPrediction, LiveSession, label_timeline, load_model, predict_clips

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def test_it_is_found_and_its_precision_chosen() -> None:
    assert best_device().type == "cuda"
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
    assert backbone_dtype("auto", CUDA) == (torch.bfloat16 if fast else torch.float32)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@torch.no_grad()
def test_logits_are_those_of_the_cpu(knowing_model: ResNetLSTMForVideoClassification, precision: str) -> None:
    pixel_values = torch.randn(4, 6, 3, 32, 32)
    expected = knowing_model(pixel_values)
    model = copy.deepcopy(knowing_model).to(CUDA)
    model.compile_for_inference(precision=precision)
    outputs = model(pixel_values.to(CUDA))
    tolerance = 1e-3 if precision == "fp32" else 0.25
    torch.testing.assert_close(outputs.logits.cpu(), expected.logits, rtol=1e-3, atol=tolerance)
    torch.testing.assert_close(outputs.known_score.cpu(), expected.known_score, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_no_call_warns_of_scattered_weights(
    tiny_model: ResNetLSTMForVideoClassification, tmp_path: Path, dtype: torch.dtype
) -> None:
    tiny_model.save_pretrained(tmp_path)
    loaded = ResNetLSTMForVideoClassification.from_pretrained(tmp_path, dtype=dtype, device_map="cuda")
    for model in (loaded, copy.deepcopy(tiny_model).to(CUDA).to(dtype), copy.deepcopy(loaded)):
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("error")
            model(torch.randn(1, 6, 3, 32, 32, device=CUDA))


def test_pictures_arrive_as_they_left(tiny_processor: ResNetLSTMVideoProcessor) -> None:
    feeder = DeviceFeeder(tiny_processor, CUDA)
    for _ in range(20):
        clips = [torch.randint(256, (6, 32, 32, 3), dtype=torch.uint8) for _ in range(4)]
        expected = tiny_processor.normalize_pictures(torch.stack(clips))
        pixel_values = feeder.pixel_values(clips, mirrored=[True, False, False, True])
        expected[[0, 3]] = expected[[0, 3]].flip(-1)
        torch.testing.assert_close(pixel_values.cpu(), expected, rtol=1e-6, atol=1e-6)


def test_a_batch_that_is_too_large_is_halved() -> None:
    free, _ = torch.cuda.mem_get_info()

    def compute(batch: torch.Tensor) -> torch.Tensor:
        torch.empty(len(batch), free // 10, dtype=torch.uint8, device=CUDA)
        return batch + 1

    halving = HalvingBatches(compute)
    torch.testing.assert_close(halving(torch.arange(32.0)), torch.arange(32.0) + 1)
    assert halving.size is not None
    assert halving.size <= 16


def test_features_are_those_of_the_cpu(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    clips, views = clip_files(tiny_dataset, "test"), [UNIFORM, View("random-1-flip")]
    caches = []
    for device in ("cpu", "cuda"):
        model = copy.deepcopy(tiny_model).to(device).resnet_lstm
        caches.append(FeatureCache(tmp_path / device, model, tiny_processor))
        assert extract_features(model, tiny_processor, caches[-1], clips, views).extracted == 8
    for clip in clips:
        for view in views:
            on_cpu, on_gpu = (cache.load(clip.sha256, view) for cache in caches)
            torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)


def test_answers_are_those_of_the_cpu(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
) -> None:
    files = [clip.path for clip in clip_files(tiny_dataset, "test")]
    on_gpu = copy.deepcopy(tiny_model).to(CUDA)
    pairs = zip(
        predict_clips(tiny_model, tiny_processor, files),
        predict_clips(on_gpu, tiny_processor, files),
        strict=True,
    )
    for expected, answer in pairs:
        assert isinstance(expected, ClipPrediction)
        assert isinstance(answer, ClipPrediction)
        assert answer.logits == pytest.approx(expected.logits, abs=1e-3)


def test_timelines_and_cameras(model_dir: Path, numbered_clip: Path) -> None:
    model, processor = load_model(str(model_dir))
    assert model.device.type == "cuda"
    assert label_timeline(model, processor, numbered_clip, fps=25.0).seconds.shape == (20,)
    session = LiveSession(model, processor)
    for second in range(3):
        session.update(torch.zeros(48, 64, 3, dtype=torch.uint8).numpy(), float(second))


def test_torch_compile(tiny_model: ResNetLSTMForVideoClassification) -> None:
    model = tiny_model.to(CUDA)
    pixel_values = torch.randn(2, 6, 3, 32, 32, device=CUDA)
    with torch.no_grad():
        expected = model(pixel_values).logits
        torch.testing.assert_close(torch.compile(model)(pixel_values).logits, expected, rtol=1e-3, atol=1e-3)


def test_data_parallel(tiny_model: ResNetLSTMForVideoClassification) -> None:
    model = tiny_model.to(CUDA)
    pixel_values = torch.randn(4, 6, 3, 32, 32, device=CUDA)
    with torch.no_grad():
        expected = model(pixel_values).logits
        logits = torch.nn.DataParallel(model)(pixel_values).logits
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_what_it_does_of_what_it_could_is_timed(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tiny_dataset: VideoFolder
) -> None:
    tiny_model.to(CUDA).compile_for_inference()
    figures = time_device(tiny_model, tiny_processor, clip_files(tiny_dataset, "train"), 1)
    assert {figure.part for figure in figures} >= {"extraction by default settings", "a frame, torch on cuda:0"}
