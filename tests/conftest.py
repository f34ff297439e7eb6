"""Fixtures shared by all tests: small real clips, and the real data where the machine has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# Before any library that reads it: no test may reach for the Hub.
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel, set_seed

from hub_processes import Publisher
from loopback_hub import LoopbackHub, running_hub
from published_models import write_trained_model
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder, build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.exporting import ExportSettings, export_model
from resnet_lstm.inference import EXPORT_FORMATS, Export
from resnet_lstm.known_score import KnownScore

pytest_plugins = ("shard_fixtures", "space_fixtures", "teaching_fixtures")

SCRIPTS = Path(__file__).parents[1] / "scripts"

# The files that take minutes. Begun last, one would keep a single process busy while the others have nothing left.
LONGEST = ("test_many_processes.py", "test_train_classifier.py", "test_browser.py", "test_accessible.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest. Skip, by name, what needs a GPU where there is none."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="there is no CUDA GPU"))


def numbered_frames(num_frames: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Grey frames whose brightness tells their number: frame i has the value 10 + 8 i, so up to 30 frames."""
    if num_frames > 30:
        raise ValueError(f"num_frames={num_frames}: only 30 grey levels can be told apart after compression.")
    return [np.full((height, width, 3), 10 + 8 * i, np.uint8) for i in range(num_frames)]


def frame_numbers(frames: np.ndarray) -> list[int]:
    """The number of each of the decoded `frames` `[T, H, W, 3]`, read back from its brightness."""
    return [round((float(frame.mean()) - 10) / 8) for frame in frames]


@pytest.fixture
def numbered_clip(tmp_path: Path) -> Path:
    """A 20-frame mp4 at 25 fps whose frames tell their number."""
    return write_video(tmp_path / "numbered.mp4", numbered_frames(20))


def _folder_from_environment(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"{variable}={value} is not a folder")
    return path


@pytest.fixture(scope="session")
def ucf101_root() -> Path:
    """The folder that holds `UCF-101/` and `ucfTrainTestlist/`."""
    return _folder_from_environment("UCF101_ROOT")


@pytest.fixture(scope="session")
def resnet50_path() -> Path:
    """ResNet-50 weights in the layout of `microsoft/resnet-50`."""
    return _folder_from_environment("RESNET50_PATH")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet of two layers in the layout of `microsoft/resnet-50`, with BatchNorm statistics of its own."""
    return save_tiny_backbone(tmp_path_factory.mktemp("backbone"), [8, 16])


@pytest.fixture(scope="session")
def tunable_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_backbone`, with wider maps before its last stage.

    PyTorch 2.14 writes beyond its memory on the way back through a 1 x 1 convolution of stride 2 that reads 8 channels
    in channels_last on a processor with AVX-512.
    """
    return save_tiny_backbone(tmp_path_factory.mktemp("tunable_backbone"), [16, 16])


def save_tiny_backbone(path: Path, hidden_sizes: list[int]) -> Path:
    """Write a random ResNet of a basic layer in each stage."""
    set_seed(0)
    resnet = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=hidden_sizes, depths=[1, 1], layer_type="basic"))
    for name, buffer in resnet.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    resnet.save_pretrained(path)
    return path


def make_tiny_processor() -> ResNetLSTMVideoProcessor:
    """Six frames of 32 x 32 pixels."""
    return ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=6)


def make_tiny_model(tiny_backbone: Path) -> ResNetLSTMForVideoClassification:
    """Three labels, six frames, twelve LSTM units that have a say, in evaluation mode."""
    return build_tiny_model(tiny_backbone)


def build_tiny_model(backbone: Path, **config: object) -> ResNetLSTMForVideoClassification:
    """What `tiny_model` is, or a variation of it."""
    set_seed(0)
    config = {"id2label": {0: "jump", 1: "run", 2: "swim"}, "num_frames": 6, "lstm_hidden_size": 12, **config}
    model = ResNetLSTMForVideoClassification.from_backbone(backbone, **config)
    if model.lstm_classifier is not None:
        model.lstm_classifier.weight.data.normal_(std=0.1)
    return model.eval()


@pytest.fixture
def tiny_processor() -> ResNetLSTMVideoProcessor:
    """See `make_tiny_processor`."""
    return make_tiny_processor()


@pytest.fixture
def tiny_model(tiny_backbone: Path) -> ResNetLSTMForVideoClassification:
    """See `make_tiny_model`."""
    return make_tiny_model(tiny_backbone)


@pytest.fixture
def knowing_model(tiny_model: ResNetLSTMForVideoClassification) -> ResNetLSTMForVideoClassification:
    """`tiny_model`, which tells how probable a known action is; what it compares clips with is made up."""
    num_labels, hidden_size = tiny_model.config.num_labels, tiny_model.config.hidden_size
    generator = torch.Generator().manual_seed(0)
    known_score = KnownScore(hidden_size, num_labels)
    known_score.set_statistics(
        torch.randn(60, num_labels, generator=generator),
        1 + torch.rand(60, generator=generator),
        torch.arange(60) % num_labels,
        torch.randn(hidden_size, generator=generator),
        0.1 * torch.randn(3, hidden_size, generator=generator),
    )
    tiny_model.set_known_score(known_score, 0.4)
    return tiny_model


@pytest.fixture
def model_dir(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> Path:
    """Where `tiny_model` and `tiny_processor` are saved."""
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def _trained_model(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model_dir = tmp_path_factory.mktemp("trained") / "model"
    return write_trained_model(model_dir, make_tiny_model(tiny_backbone), make_tiny_processor())


@pytest.fixture
def trained_dir(_trained_model: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_model` and all that a training leaves beside it, to be changed at will."""
    return Path(shutil.copytree(_trained_model, tmp_path / "trained"))


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> VideoFolder:
    """20 generated clips of each of two classes, in splits of 16, 2 and 2."""
    root = tmp_path_factory.mktemp("generated")
    clips = write_generated_clips(root / "clips", 20, classes=["brighten", "darken"], size=(32, 32), num_frames=12)
    return build_from_folders(clips, root / "dataset")


@pytest.fixture(scope="session")
def _running_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    with running_hub(tmp_path_factory.mktemp("hub") / "storage") as hub:
        yield hub


@pytest.fixture
def loopback_hub(_running_hub: LoopbackHub) -> LoopbackHub:
    """A Hub on 127.0.0.1 without repositories and faults."""
    _running_hub.reset()
    return _running_hub


@pytest.fixture(scope="session")
def _publisher(_running_hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    publisher = Publisher(_running_hub.url, tmp_path_factory.mktemp("publisher-home"))
    yield publisher
    publisher.close()


@pytest.fixture
def publish(loopback_hub: LoopbackHub, _publisher: Publisher) -> Publisher:
    """`scripts/publish.py` in a process that knows the loopback Hub only, logged in as `someone`."""
    return _publisher


@pytest.fixture(scope="session")
def exported_model_dir(
    tiny_backbone: Path, tiny_dataset: VideoFolder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What `model_dir` is, with all its exports. Shared by all tests: copy it before you change it."""
    path = tmp_path_factory.mktemp("exported") / "model"
    build_tiny_model(tiny_backbone).save_pretrained(path)
    ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=6).save_pretrained(path)
    for format in EXPORT_FORMATS:
        for int8 in (False, True):
            export_model(path, Export(format, int8), tiny_dataset, ExportSettings(calibration_clips=8))
    return path
