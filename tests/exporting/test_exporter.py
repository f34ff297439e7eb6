from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from conftest import build_tiny_model
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.video_folder import file_sha256
from resnet_lstm.exporting import ExportSettings, export_model
from resnet_lstm.inference import EXPORT_FORMATS, Export, load_model
from resnet_lstm.inference.runtimes import load_graph


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_the_record_says_what_the_export_was_made_from(exported_model_dir: Path, format: str, int8: bool) -> None:
    export = Export(format, int8)
    record = json.loads((exported_model_dir / export.record_file).read_text())
    assert record["precision"] == ("int8" if int8 else "float32")
    assert record["weights_sha256"] == file_sha256(exported_model_dir / "model.safetensors")
    paths = [exported_model_dir / file for file in export.files]
    assert record["files"] == {path.name: file_sha256(path) for path in paths}
    assert record["input"] == {"pixel_values": ["B", "T", 3, 32, 32]}
    assert record["outputs"]["frame_logits"] == ["B", "T", 3]
    assert record["labels"] == ["jump", "run", "swim"]
    assert ("nncf" in record["versions"]) == int8
    calibration = {"dataset": "clips", "split": "train", "clips": 8, "frames_of_each": 2, "seed": 42}
    assert record["calibration"] == (calibration if int8 else None)
    check = record["check"]
    assert check["clips"] == 4
    assert check["clips_of"] == "clips, test split"
    assert 0 < check["max_logit_difference"] < (0.1 if int8 else 1e-5)
    assert check["mean_feature_cosine"] > 0.99


def test_nothing_else_is_left_behind(exported_model_dir: Path) -> None:
    names = {
        f"{path.parent.name}/{path.name}"
        for folder in EXPORT_FORMATS
        for path in (exported_model_dir / folder).iterdir()
    }
    exports = [Export(format, int8) for format in EXPORT_FORMATS for int8 in (False, True)]
    assert names == {file for export in exports for file in (*export.files, export.record_file)}


@pytest.mark.parametrize("format", EXPORT_FORMATS)
@pytest.mark.parametrize("num_lstm_layers", [0, 2])
@torch.inference_mode()
def test_other_heads_are_exported_too(
    tiny_backbone: Path, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path, format: str, num_lstm_layers: int
) -> None:
    model = build_tiny_model(tiny_backbone, num_lstm_layers=num_lstm_layers, temporal_change=False, temperature=1.5)
    model.save_pretrained(tmp_path)
    tiny_processor.save_pretrained(tmp_path)
    record = export_model(tmp_path, Export(format), settings=ExportSettings(checked_clips=1))
    assert record["check"]["clips_of"] == "generated clips"
    pixel_values = torch.randn(3, 4, 3, 32, 32)
    logits = load_graph(format, tmp_path / Export(format).files[0], ["logits"])(pixel_values)[0]
    torch.testing.assert_close(logits, model(pixel_values).logits, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_int8_model(
    exported_model_dir: Path, tiny_dataset: VideoFolder, model_dir: Path
) -> None:
    export = Export("openvino", int8=True)
    record = export_model(model_dir, export, tiny_dataset, ExportSettings(calibration_clips=8))
    expected = json.loads((exported_model_dir / export.record_file).read_text())
    assert record["files"]["openvino_model_int8.bin"] == expected["files"]["openvino_model_int8.bin"]


def test_int8_needs_training_clips(model_dir: Path) -> None:
    with pytest.raises(ValueError, match="int8: ranges are taken from training clips"):
        export_model(model_dir, Export("onnx", int8=True))
    assert not (model_dir / "onnx").exists()


def test_a_graph_that_computes_something_else_is_not_exported(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_lstm.exporting.exporter.FLOAT32_TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"logits differ from the model's.*Nothing was exported"):
        export_model(model_dir, Export("openvino"), settings=ExportSettings(checked_clips=1))
    assert not list((model_dir / "openvino").iterdir())


def test_the_real_backbone_is_the_same_in_openvino(resnet50_path: Path, tmp_path: Path) -> None:
    model = ResNetLSTMForVideoClassification.from_backbone(resnet50_path, num_labels=5).eval()
    model.save_pretrained(tmp_path)
    ResNetLSTMVideoProcessor(num_frames=4).save_pretrained(tmp_path)
    record = export_model(tmp_path, Export("openvino"), settings=ExportSettings(checked_clips=1))
    assert record["check"]["max_logit_difference"] < 1e-3
    exported, _ = load_model(str(tmp_path), runtime="openvino", precision="fp32")
    pixel_values = torch.randn(1, 1, 3, 224, 224)
    with torch.no_grad():
        expected = model(pixel_values, output_frame_features=True).frame_features
        features = exported(pixel_values, output_frame_features=True).frame_features
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)
