from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from clip_trees import file_bytes
from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder
from resnet_lstm.features import UNIFORM, FeatureCache, View, clip_files, extract_features


@pytest.fixture
def cache(
    tmp_path: Path, tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> FeatureCache:
    return FeatureCache(tmp_path / "cache", tiny_model.resnet_lstm, tiny_processor)


def test_features_are_those_of_the_model(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    cache: FeatureCache,
) -> None:
    clips = clip_files(tiny_dataset, "test")
    views = [UNIFORM, View("uniform-flip")]
    result = extract_features(tiny_model.resnet_lstm, tiny_processor, cache, clips, views, batch_size=3, num_workers=0)
    assert (result.extracted, result.cached, result.failed) == (8, 0, {})
    for clip in clips:
        pixel_values = tiny_processor(clip.path, return_tensors="pt")["pixel_values"]
        for view, pixels in zip(views, (pixel_values, pixel_values.flip(-1)), strict=True):
            with torch.no_grad():
                expected = tiny_model.resnet_lstm.extract_frame_features(pixels)[0]
            torch.testing.assert_close(cache.load(clip.sha256, view), expected)


def test_what_is_there_is_not_computed_again_and_a_changed_clip_is(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    cache: FeatureCache,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_dataset.root, tmp_path / "dataset")
    folder = VideoFolder.open(tmp_path / "dataset")

    def extract() -> tuple[int, int]:
        clips = clip_files(folder, "test")
        result = extract_features(tiny_model.resnet_lstm, tiny_processor, cache, clips, [UNIFORM], num_workers=0)
        return result.extracted, result.cached

    assert extract() == (4, 0)
    assert extract() == (0, 4)
    first, second = (folder.path("test", clip) for clip in folder.clips("test")[:2])
    # Its metadata still tells the old content.
    first.write_bytes(folder.path("train", folder.clips("train")[0]).read_bytes())
    assert extract() == (1, 3)
    first.write_bytes(second.read_bytes())
    assert extract() == (0, 3)


def test_a_broken_clip_is_listed_and_the_rest_are_done(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    cache: FeatureCache,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_dataset.root, tmp_path / "dataset")
    folder = VideoFolder.open(tmp_path / "dataset")
    broken = folder.path("test", folder.clips("test")[1])
    broken.unlink()
    broken.write_bytes(b"no video")
    result = extract_features(
        tiny_model.resnet_lstm, tiny_processor, cache, clip_files(folder, "test"), [UNIFORM], batch_size=2
    )
    assert result.extracted == 3
    assert list(result.failed) == [broken]
    assert "not readable as a video" in result.failed[broken]


def extract_command(dataset: VideoFolder, backbone: Path, cache: Path, *options: str) -> list[str]:
    return [
        str(SCRIPTS / "extract_features.py"), "--dataset", str(dataset.root), "--backbone", str(backbone),
        "--cache-dir", str(cache), "--num-workers", "0", "--num-views", "6", *options,
    ]  # fmt: skip


def test_a_killed_run_resumes_to_the_same_cache(
    tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    command = [sys.executable, *extract_command(tiny_dataset, tiny_backbone, tmp_path / "killed")]
    for wanted in (5, 60):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while len(list((tmp_path / "killed").rglob("*.safetensors"))) < wanted and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
    done = len(list((tmp_path / "killed").rglob("*.safetensors")))
    assert 5 <= done < 32 * 6 + 8
    subprocess.run(command, check=True, capture_output=True)
    unbroken = [sys.executable, *extract_command(tiny_dataset, tiny_backbone, tmp_path / "unbroken")]
    subprocess.run(unbroken, check=True, capture_output=True)
    killed = file_bytes(tmp_path / "killed")
    # A file that was being written when the process died may be left, under a name that nothing reads.
    finished = {name: content for name, content in killed.items() if not Path(name).name.startswith(".")}
    assert finished == file_bytes(tmp_path / "unbroken")
    assert len(finished) == 32 * 6 + 8 + 1


def test_two_processes_share_the_work_and_fill_the_same_cache(
    tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    # The order in which a number of threads adds up shows in the last bit.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*torchrun, *extract_command(tiny_dataset, tiny_backbone, tmp_path / "two")],
        check=False, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("train: 192 extracted") == 1
    one = [sys.executable, *extract_command(tiny_dataset, tiny_backbone, tmp_path / "one")]
    subprocess.run(one, check=True, capture_output=True, env=environment)
    assert file_bytes(tmp_path / "two") == file_bytes(tmp_path / "one")


def test_errors_are_one_line_with_exit_status_2(tiny_backbone: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "extract_features.py"), "--dataset", str(tmp_path / "none")]
    run = subprocess.run([*command, "--backbone", str(tiny_backbone)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "none: not a VideoFolder" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_flipped_bit_in_the_cache_is_reported_and_computed_anew(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    cache: FeatureCache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clips = clip_files(tiny_dataset, "test")

    def extract() -> tuple[int, int]:
        result = extract_features(tiny_model.resnet_lstm, tiny_processor, cache, clips, [UNIFORM], num_workers=0)
        return result.extracted, result.cached

    assert extract() == (4, 0)
    whole = file_bytes(cache.directory)
    for number, clip in enumerate(clips[:3]):
        path = cache.path(clip.sha256, UNIFORM)
        content = bytearray(path.read_bytes())
        # In the features, in the header, in the checksum.
        position = [len(content) - 5, 3, content.index(b"sha256") + 12][number]
        content[position] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path.name}: damaged"):
            cache.load(clip.sha256, UNIFORM)
    assert extract() == (3, 1)
    assert sum("computed anew" in record.message for record in caplog.records) == 3
    assert file_bytes(cache.directory) == whole
