from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import pipeline

from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.video_folder import DatasetError, Entry, write_video_folder
from resnet_lstm.training import RunOptions, TrainingSettings, train_classifier

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
COMPLETE = {
    "README.md",
    "config.json",
    "confusion_matrix.csv",
    "confusion_matrix.png",
    "configuration_resnet_lstm.py",
    "device_precision.py",
    "folded_backbone.py",
    "frame_reading.py",
    "class_statistics.py",
    "head_precision.py",
    "known_score.py",
    "lstm_reading.py",
    "metrics.json",
    "model.safetensors",
    "modeling_resnet_lstm.py",
    "per_class.csv",
    "per_class_f1.png",
    "predictions.csv",
    "reliability.png",
    "training.json",
    "train.yaml",
    "training_curves.png",
    "training_log.jsonl",
    "torchvision_weights.py",
    "video_damage.py",
    "hdr_tone_mapping.py",
    "video_decoding.py",
    "video_inputs.py",
    "video_preprocessor_config.json",
    "video_processing_resnet_lstm.py",
    "video_seeking.py",
    "video_sources.py",
    "video_streams.py",
    "video_timeline.py",
}


class Train:
    """Runs the training script as a user does."""

    def __init__(self, dataset: Path, backbone: Path, root: Path) -> None:
        self.dataset, self.backbone, self.root = dataset, backbone, root

    def command(self, output: str, *options: str, launcher: list[str] | None = None) -> list[str]:
        return [
            sys.executable, *(launcher or []), str(SCRIPTS / "train.py"),
            "--dataset", str(self.dataset), "--output", str(self.root / output), "--backbone", str(self.backbone),
            "--cache_dir", str(self.root / f"{output}-cache"), "--num_frames", "6", "--lstm_hidden_size", "16",
            "--train_batch_size", "8", "--learning_rate", "0.01", "--num_views", "2", "--num_workers", "0",
            "--early_stopping_patience", "0", "--checkpoint_interval_seconds", "0", *options,
        ]  # fmt: skip

    def __call__(
        self, output: str, *options: str, launcher: list[str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        command = self.command(output, *options, launcher=launcher)
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or run.returncode == 0, run.stderr
        return run

    def metrics(self, output: str) -> dict[str, object]:
        metrics = json.loads((self.root / output / "metrics.json").read_text())
        return {name: value for name, value in metrics.items() if name != "model"}


@pytest.fixture
def train(tiny_dataset: VideoFolder, tunable_backbone: Path, tmp_path: Path) -> Train:
    return Train(tiny_dataset.root, tunable_backbone, tmp_path)


def test_one_class_alone_is_refused_before_anything_is_computed(tiny_dataset: VideoFolder, tmp_path: Path) -> None:
    entries = [
        Entry(split, tiny_dataset.path(split, clip), clip)
        for split in ("train", "test")
        for clip in tiny_dataset.clips(split)
        if clip.label == "darken"
    ]
    folder = write_video_folder(tmp_path / "one", entries, ["darken"], {})
    with pytest.raises(DatasetError, match="only class is darken"):
        train_classifier(
            folder,
            tmp_path / "model",
            ResNetLSTMForVideoClassification.from_backbone,
            ResNetLSTMVideoProcessor(),
            TrainingSettings(),
            RunOptions(cache_dir=tmp_path / "cache"),
        )
    assert not (tmp_path / "model").exists()


def test_the_output_directory_is_complete(train: Train, tiny_dataset: VideoFolder) -> None:
    run = train("model", "--num_train_epochs", "2", "--report_to", "tensorboard")
    output = train.root / "model"
    assert {path.name for path in output.iterdir() if path.is_file()} == COMPLETE
    assert list((output / "logs").rglob("events.out.tfevents.*"))
    assert not list(output.rglob("*.bin")) + list(output.rglob("*.pt")) + list(output.rglob("*.pkl"))

    metrics = train.metrics("model")
    assert metrics["clips"] == 4
    card = ModelCard.load(output / "README.md")
    assert card.data.pipeline_tag == "video-classification"
    assert card.data.eval_results is not None
    baseline = json.loads((output / "baseline" / "metrics.json").read_text())
    assert baseline["difference"].keys() == {"top1", "top5", "macro_f1"}

    clip = tiny_dataset.clips("test")[0]
    answers = pipeline("video-classification", model=str(output))(str(tiny_dataset.path("test", clip)))
    assert {answer["label"] for answer in answers} == {"brighten", "darken"}
    assert "mean of frames on " in run.stdout
    assert "(order-blind baseline)" in card.text

    again = train("model", "--num_train_epochs", "2", check=False)
    assert again.returncode == 2
    assert "holds a trained model" in again.stderr
    assert "Traceback" not in again.stderr
    train("model", "--num_train_epochs", "1", "--no_baseline", "--overwrite")
    assert not (output / "baseline").exists()


def test_a_killed_run_resumes_to_the_same_metrics_and_weights(train: Train) -> None:
    options = ("--num_train_epochs", "6")
    train("unbroken", *options)
    # Killed while features are extracted, in the training of the LSTM and in that on all clips.
    for appears in ("broken-cache/*/*/*.safetensors", "broken/checkpoint*", "broken/refit/checkpoint*"):
        command = train.command("broken", *options, "--resume")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not list(train.root.glob(appears)) and process.poll() is None:
                time.sleep(0.002)
            time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        assert not (train.root / "broken" / "config.json").exists()
    train("broken", *options, "--resume")
    assert "finished already" in train("broken", *options, "--resume").stdout
    assert train.metrics("broken") == train.metrics("unbroken")
    assert train.metrics("broken/baseline") == train.metrics("unbroken/baseline")
    broken, unbroken = (load_file(train.root / name / "model.safetensors") for name in ("broken", "unbroken"))
    assert all(broken[name].equal(unbroken[name]) for name in unbroken)
    assert not list((train.root / "broken").rglob("checkpoint.safetensors"))


def test_an_unfinished_run_is_not_overwritten_by_accident(train: Train) -> None:
    output = train.root / "model"
    output.mkdir()
    (output / "checkpoint.safetensors").touch()
    run = train("model", check=False)
    assert run.returncode == 2
    assert "holds an unfinished run" in run.stderr


def test_all_of_the_backbone_can_be_tuned(train: Train, tunable_backbone: Path) -> None:
    options = ("--train_backbone", "--gradient_checkpointing", "--precision", "bf16", "--tuning_learning_rate", "0.01")
    run = train("model", "--num_train_epochs", "1", *options)
    assert "unfreeze: all" in run.stdout
    log = [json.loads(line) for line in (train.root / "model" / "tuning_log.jsonl").read_text().splitlines()]
    before = load_file(tunable_backbone / "model.safetensors")
    after = load_file(train.root / "model" / "model.safetensors")
    name = "encoder.stages.1.layers.0.layer.0"
    changed = after[f"resnet_lstm.backbone.{name}.convolution.weight"] != before[f"{name}.convolution.weight"]
    assert changed.any().item() is log[-1]["is_kept"]
    kept = after[f"resnet_lstm.backbone.{name}.normalization.running_mean"]
    assert kept.equal(before[f"{name}.normalization.running_mean"])


@pytest.mark.parametrize("unfreeze", ["last_stage", "all"])
def test_a_tuning_that_was_killed_resumes_to_the_same_weights(train: Train, unfreeze: str) -> None:
    options = [*("--num_train_epochs", "2", "--unfreeze", unfreeze, "--tuning_epochs", "3")]
    options += ["--tuning_learning_rate", "0.01", "--precision", "fp32"]
    train("unbroken", *options)
    # Killed while the backbone is tuned, on the line, and in the training of the head on the tuned backbone.
    for appears in ("broken/tuning/checkpoint*", "broken/tuning/features/*/*/*", "broken/tuned/checkpoint*"):
        command = train.command("broken", *options, "--resume")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not list(train.root.glob(appears)) and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
    train("broken", *options, "--resume")
    assert train.metrics("broken") == train.metrics("unbroken")
    broken, unbroken = (load_file(train.root / name / "model.safetensors") for name in ("broken", "unbroken"))
    assert all(broken[name].equal(unbroken[name]) for name in unbroken)
    logs = [(train.root / name / "tuning_log.jsonl").read_text().splitlines()[-6:] for name in ("broken", "unbroken")]
    assert logs[0] == logs[1]
    assert not (train.root / "broken" / "tuning").exists()


def test_two_processes_train_one_model(train: Train) -> None:
    run = train("model", "--num_train_epochs", "3", "--no_baseline", launcher=TORCHRUN)
    assert run.stdout.count("trained 3 epochs") == 1
    assert train.metrics("model")["clips"] == 4
    # Two views of the clips that are trained on in the end, those of validation among them.
    assert len(list((train.root / "model-cache").rglob("*.safetensors"))) == (32 + 4) * 2 + 4
    log = [json.loads(line) for line in (train.root / "model" / "training_log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [0, 1, 2]


def test_a_folder_of_other_things_is_left_alone(train: Train) -> None:
    output = train.root / "project"
    output.mkdir()
    (output / "config.json").write_text('{"model_type": "bert"}')
    run = train("project", "--overwrite", check=False)
    assert run.returncode == 2
    assert "holds something else than a model" in run.stderr
    assert (output / "config.json").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dataset", "nowhere"), "nowhere: not a VideoFolder"),
        (("--epochs", "3"), "unrecognized arguments: --epochs 3"),
        (("--dropout", "1.0"), "dropout=1.0: must be in [0, 1)"),
        (("--report_to", "nothing"), "report_to=nothing"),
    ],
)
def test_errors_are_one_line_with_exit_status_2(train: Train, options: tuple[str, str], message: str) -> None:
    run = train("model", *options, check=False)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
