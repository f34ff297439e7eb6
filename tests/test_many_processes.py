"""What several processes make of a job that they share: the same as one."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clip_trees import file_bytes
from conftest import build_tiny_model, make_tiny_processor, numbered_frames
from resnet_lstm.accelerator import create_accelerator
from resnet_lstm.data import VideoFolder, build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.data.video_folder import Entry, write_video_folder
from resnet_lstm.features import FeatureShards
from shard_fixtures import SameClips

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
ACCELERATE = (
    *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)

# Starts the command, in the second process so that its files may not grow beyond a few bytes.
RANK_FAILS = """
import os, resource, sys
import resnet_lstm.commands.extract  # some of what it imports writes files when it is imported
from resnet_lstm_command import main
if os.environ["RANK"] == "1":
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
sys.exit(main())
"""

# Starts the command where so few clips as these are many.
MANY_CLIPS = """
import sys
from resnet_lstm.training import fold_sums, frozen_backbone
from resnet_lstm_command import main
fold_sums.most_rows = frozen_backbone.most_rows = lambda *sizes: 10
sys.exit(main())
"""


def launched(
    launcher: tuple[str, ...], *arguments: object, check: bool = True, script: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in as many processes as its launcher starts, each with one thread; in one if there is none."""
    modules = [word for name in launcher[:1] for word in ("-m", name)]
    program = ["-m", "resnet_lstm"] if script is None else [str(script)]
    run = subprocess.run(
        [sys.executable, *modules, *launcher[1:], *program, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert not check or run.returncode == 0, run.stderr
    return run


@pytest.fixture(scope="module")
def uneven_dataset(tmp_path_factory: pytest.TempPathFactory) -> VideoFolder:
    """Clips of two classes, of which one has more: 21 to train on, 5 for validation and 21 for the test."""
    root = tmp_path_factory.mktemp("uneven")
    clips = write_generated_clips(root / "clips", 26, classes=["brighten", "darken"], size=(32, 32), num_frames=12)
    for path in sorted((clips / "darken").iterdir())[:5]:
        path.unlink()
    whole = build_from_folders(clips, root / "whole")
    placed = [
        (whole.path(split, clip), clip) for split in ("train", "validation", "test") for clip in whole.clips(split)
    ]
    placed.sort(key=lambda pair: pair[1].file_name[::-1])
    splits = ["train"] * 21 + ["validation"] * 5 + ["test"] * 21
    entries = [Entry(split, path, clip) for split, (path, clip) in zip(splits, placed, strict=True)]
    return write_video_folder(root / "dataset", entries, whole.labels, {"split_scheme": "by name"})


class Training:
    """Trains models of one dataset side by side."""

    def __init__(self, dataset: VideoFolder, backbone: Path, root: Path) -> None:
        self.dataset, self.backbone, self.root = dataset, backbone, root

    def arguments(self, name: str, *options: object) -> list[object]:
        return [
            *("train", "--dataset", self.dataset.root, "--output", self.root / name, "--backbone", self.backbone),
            *("--cache-dir", self.root / "cache", "--num-frames", 6, "--lstm-hidden-size", 16, "--num-views", 2),
            *("--train-batch-size", 8, "--learning-rate", 0.01, "--early-stopping-patience", 0),
            *("--num-workers", 0, "--precision", "fp32", "--no-baseline", *options),
        ]  # fmt: skip

    def __call__(self, name: str, launcher: tuple[str, ...], *options: object) -> None:
        launched(launcher, *self.arguments(name, *options))


def curve(log: Path) -> list[dict[str, float]]:
    """The losses and figures of each epoch."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        {name: value for name, value in record.items() if name.endswith(("loss", "top1", "macro_f1"))}
        for record in records
    ]


def figures(directory: Path) -> tuple[dict[str, object], list[str]]:
    """What a report says of right and wrong, and what was predicted of each clip."""
    metrics = json.loads((directory / "metrics.json").read_text())
    with (directory / "predictions.csv").open(newline="") as file:
        predicted = [f"{row['file_name']}: {row['predicted']}" for row in csv.DictReader(file)]
    return {name: metrics[name] for name in ("clips", "top1", "macro_f1", "confusion_matrix")}, predicted


@pytest.fixture
def training(uneven_dataset: VideoFolder, tunable_backbone: Path, tmp_path: Path) -> Training:
    return Training(uneven_dataset, tunable_backbone, tmp_path)


@pytest.fixture
def model_of_clips(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A model of the two classes that has learned nothing."""
    model = build_tiny_model(tiny_backbone, id2label={0: "brighten", 1: "darken"})
    model.save_pretrained(tmp_path / "model")
    make_tiny_processor().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


# One clip is left for the last batch of an epoch, and two when the clips for validation have come to it.
FROZEN = ("--num-train-epochs", 4, "--train-batch-size", 4, "--checkpoint-interval-seconds", 0)
LAST_STAGE = ("--num-train-epochs", 1, "--unfreeze", "last_stage", "--tuning-epochs", 2, "--no-refit")
ALL = ("--num-train-epochs", 1, "--train-backbone", "--tuning-epochs", 2, "--tuning-learning-rate", 3e-4, "--no-refit")


@pytest.fixture(scope="module")
def by_one_process(
    uneven_dataset: VideoFolder, tunable_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What one process makes of `FROZEN`."""
    training = Training(uneven_dataset, tunable_backbone, tmp_path_factory.mktemp("one"))
    training("one", (), *FROZEN)
    return training.root / "one"


def assert_trained_alike(one: Path, two: Path, log: str = "training_log.jsonl", relative: float = 1e-5) -> None:
    """The loss curves of two runs, and what their models say of the test clips, are the same."""
    for of_one, of_two in zip(curve(one / log), curve(two / log), strict=True):
        assert of_one == pytest.approx(of_two, rel=relative)
    assert figures(one) == figures(two)


def test_two_processes_train_what_one_does(training: Training, by_one_process: Path) -> None:
    training("two", ACCELERATE, *FROZEN)
    assert_trained_alike(by_one_process, training.root / "two")


@pytest.mark.parametrize("tuned", [LAST_STAGE, ALL], ids=["last_stage", "all"])
def test_two_processes_tune_what_one_does(training: Training, tuned: tuple[object, ...]) -> None:
    training("one", (), *tuned)
    training("two", TORCHRUN, *tuned)
    assert_trained_alike(training.root / "one", training.root / "two", "tuning_log.jsonl")


def test_a_run_goes_on_with_another_number_of_processes(training: Training, by_one_process: Path) -> None:
    command = [sys.executable, "-m", *TORCHRUN, "-m", "resnet_lstm", *map(str, training.arguments("broken", *FROZEN))]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while not (training.root / "broken" / "checkpoint.safetensors").is_file() and process.poll() is None:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (training.root / "broken" / "config.json").exists()
    training("broken", (), *FROZEN, "--resume")
    assert_trained_alike(by_one_process, training.root / "broken")


def test_two_processes_fit_the_classifier_to_sums_of_which_each_gathers_a_part(
    training: Training, by_one_process: Path, tmp_path: Path
) -> None:
    script = tmp_path / "many_clips.py"
    script.write_text(MANY_CLIPS)
    launched(TORCHRUN, *training.arguments("two", *FROZEN), script=script)
    assert_trained_alike(by_one_process, training.root / "two", relative=1e-4)


def test_two_processes_stream_features_and_train_and_evaluate_what_one_does(
    training: Training, same_clips: SameClips, tmp_path: Path
) -> None:
    features = tmp_path / "features"
    of_clips = ["--backbone", training.backbone, "--num-frames", 6, "--num-views", 2, "--precision", "fp32"]
    launched(TORCHRUN, "extract", "--dataset", same_clips.shards, "--output", features, *of_clips)
    training.dataset = FeatureShards.open(features)
    # Two of the four shards that are trained on.
    streamed = (*FROZEN, "--shuffle-buffer", 20 * 2 * 6 * 40 * 4 / 2**30)
    script = tmp_path / "many_clips.py"
    script.write_text(MANY_CLIPS)
    for name, launcher in (("one", ()), ("two", TORCHRUN)):
        launched(launcher, *training.arguments(name, *streamed), script=script)
        evaluation = ["evaluate", tmp_path / "one", "--dataset", features, "--precision", "fp32"]
        launched(launcher, *evaluation, "--output", tmp_path / f"evaluated by {name}")
    assert_trained_alike(tmp_path / "one", tmp_path / "two", relative=1e-4)
    assert file_bytes(tmp_path / "evaluated by one") == file_bytes(tmp_path / "evaluated by two")


def test_what_all_processes_stumble_over_is_said_once(training: Training) -> None:
    run = launched(TORCHRUN, *training.arguments("model", "--train-batch-size", 7), check=False)
    assert run.returncode != 0
    assert run.stderr.count("error: train_batch_size=7: 2 processes cannot have equal parts of it") == 1
    assert run.stderr.count("error: ") == 1


@pytest.mark.parametrize("cached", [True, False])
def test_each_of_21_clips_counts_once_on_two_processes(
    model_of_clips: Path, uneven_dataset: VideoFolder, tmp_path: Path, cached: bool
) -> None:
    command = ["evaluate", model_of_clips, "--dataset", uneven_dataset.root, "--precision", "fp32"]
    command += ["--cache-dir", tmp_path / "cache"] if cached else ["--no-cache"]
    launched((), *command, "--output", tmp_path / "one")
    run = launched(TORCHRUN, *command, "--output", tmp_path / "two")
    assert run.stdout.count("21 clips") == 1
    for name in ("metrics.json", "predictions.csv", "per_class.csv", "confusion_matrix.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert len((tmp_path / "two" / "predictions.csv").read_text().splitlines()) == 1 + 21


def test_a_process_that_fails_stops_all_with_one_message(
    uneven_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    script = tmp_path / "rank_fails.py"
    script.write_text(RANK_FAILS)
    command = ["extract", "--dataset", uneven_dataset.root, "--backbone", tiny_backbone, "--num-frames", 6]
    run = launched(TORCHRUN, *command, "--cache-dir", tmp_path / "cache", check=False, script=script)
    assert run.returncode != 0
    assert run.stderr.count("error: ") == run.stderr.count("error: [Errno 27] File too large") == 1
    assert "Connection closed" not in run.stderr


def test_a_command_that_does_not_share_its_work_is_refused_in_several_processes(model_of_clips: Path) -> None:
    run = launched((), "export", model_of_clips, "--format", "onnx", check=False, WORLD_SIZE="2", RANK="0")
    assert run.returncode == 2
    assert run.stderr.startswith("error: 2 processes: each would do all the work of `export`")


@pytest.fixture(scope="module")
def clips_of_all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips of several lengths in a folder; one of them is damaged, and another one no video."""
    folder = tmp_path_factory.mktemp("clips")
    for number, length in enumerate((30, 9, 24, 12, 15, 21)):
        write_video(folder / f"{number}.avi", numbered_frames(length))
    whole = (folder / "2.avi").read_bytes()
    (folder / "2.avi").write_bytes(whole[: len(whole) * 3 // 4])
    (folder / "3b.avi").write_bytes(b"no video")
    (folder / "notes.txt").touch()
    return folder


@pytest.mark.parametrize(
    ("command", "launcher"),
    [(("predict", "--strip"), TORCHRUN), (("timeline",), ACCELERATE)],
    ids=["predict", "timeline"],
)
def test_two_processes_answer_each_file_once_and_in_order(
    model_of_clips: Path, clips_of_all_kinds: Path, tmp_path: Path, command: tuple[str, ...], launcher: tuple[str, ...]
) -> None:
    runs = {}
    for name, with_ in (("one", ()), ("two", launcher)):
        output = tmp_path / name
        output.mkdir()
        files = [*("--json", output / "answers.jsonl"), *("--csv", output / "answers.csv")]
        files += [part for option in command[1:] for part in (option, output / "strips")]
        runs[name] = launched(
            with_, command[0], model_of_clips, clips_of_all_kinds, "--precision", "fp32", *files, check=False
        )
    one, two = runs["one"], runs["two"]
    assert one.returncode == two.returncode == 1
    assert one.stdout.count("%") >= 6
    assert two.stdout == one.stdout
    for said in ("error: ", "3b.avi: not readable as a video", "passed over, no clips by their names: 1 .txt"):
        assert one.stderr.count(said) == two.stderr.count(said) == 1, two.stderr
    assert one.stderr.count("clips could not be read") == two.stderr.count("clips could not be read")
    assert file_bytes(tmp_path / "two") == file_bytes(tmp_path / "one")
    with (tmp_path / "two" / "answers.csv").open(newline="") as file:
        assert list(dict.fromkeys(Path(row["source"]).stem for row in csv.DictReader(file))) == [
            *("0", "1", "2", "3", "3b", "4", "5")
        ]


def test_a_process_that_cannot_go_on_ends_the_answers_of_all(
    model_of_clips: Path, clips_of_all_kinds: Path, tmp_path: Path
) -> None:
    script = tmp_path / "rank_fails.py"
    script.write_text(RANK_FAILS)
    command = ["predict", model_of_clips, clips_of_all_kinds, "--strip", tmp_path / "strips"]
    run = launched(TORCHRUN, *command, check=False, script=script)
    assert run.returncode != 0
    assert run.stderr.count("error: ") == run.stderr.count("error: [Errno 27] File too large") == 1
    assert "Connection closed" not in run.stderr


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED"])
def test_what_cuts_models_into_parts_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(ValueError, match=f"launched with {name}"):
        create_accelerator()
