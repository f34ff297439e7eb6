from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest
import torch

from clip_trees import file_bytes
from conftest import SCRIPTS, build_tiny_model, save_tiny_backbone
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import SPLITS, ClipShards, DatasetError, write_video
from resnet_lstm.data.shard_writing import write_clip_shards
from resnet_lstm.data.video_folder import Clip, Entry
from resnet_lstm.features import (
    UNIFORM,
    FeatureCache,
    FeatureShards,
    ShardExtractor,
    View,
    clip_files,
    extract_features,
    extract_shards,
    is_feature_shards,
    training_views,
)
from shard_fixtures import SameClips

TWO_VIEWS = training_views(2)


def extractor(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    shards: Path | str,
    output: Path,
    views: Sequence[View] = TWO_VIEWS,
    num_workers: int = 0,
) -> ShardExtractor:
    """For all splits, in the same views."""
    return ShardExtractor(
        model.resnet_lstm,
        processor,
        ClipShards.open(shards),
        output,
        dict.fromkeys(SPLITS, views),
        precision="fp32",
        num_workers=num_workers,
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_features_are_those_of_the_cache(
    same_clips: SameClips,
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
    num_workers: int,
) -> None:
    cache = FeatureCache(tmp_path / "cache", tiny_model.resnet_lstm, tiny_processor)
    output = tmp_path / "features"
    done = extract_shards(extractor(tiny_model, tiny_processor, same_clips.shards, output, num_workers=num_workers))
    assert (done.extracted, done.failed, done.damaged) == (7, {}, {})
    assert is_feature_shards(output)
    assert not is_feature_shards(same_clips.shards)
    shards = FeatureShards.open(output)
    assert (shards.labels, shards.split_scheme) == (same_clips.folder.labels, same_clips.folder.split_scheme)
    for split in SPLITS:
        clips = clip_files(same_clips.folder, split)
        extract_features(tiny_model.resnet_lstm, tiny_processor, cache, clips, TWO_VIEWS, num_workers=0)
        assert shards.clips(split) == same_clips.folder.clips(split)
        assert [clip.sha256 for clip in clip_files(shards, split)] == [clip.sha256 for clip in clips]
        for view in TWO_VIEWS:
            expected = [cache.load(clip.sha256, view) for clip in clips]
            assert torch.equal(torch.stack([shards.load(clip.sha256, view) for clip in clips]), torch.stack(expected))
            # In one pass, by one process and by two.
            labels = torch.tensor([shards.labels.index(clip.label) for clip in shards.clips(split)])
            groups = [shards.group_of(clip) for clip in shards.clips(split)]
            for num_processes in (1, 2):
                shares = [
                    list(shards.chunks(split, view, process_index=index, num_processes=num_processes))
                    for index in range(num_processes)
                ]
                chunks = [shares[i % num_processes][i // num_processes] for i in range(sum(map(len, shares)))]
                assert torch.equal(torch.cat([chunk.frame_features for chunk in chunks]), torch.stack(expected))
                assert torch.equal(torch.cat([chunk.labels for chunk in chunks]), labels)
                assert [group for chunk in chunks for group in chunk.groups] == groups


def test_a_store_that_fsspec_knows_is_read_and_features_may_lie_there(
    same_clips: SameClips,
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
) -> None:
    fsspec.filesystem("memory").put(str(same_clips.shards), "/remote/clips", recursive=True)
    remote = extractor(tiny_model, tiny_processor, "memory://remote/clips/*.tar", tmp_path / "remote")
    local = extractor(tiny_model, tiny_processor, same_clips.shards, tmp_path / "local")
    assert extract_shards(remote).extracted == extract_shards(local).extracted == 7
    fsspec.filesystem("memory").put(str(tmp_path / "remote"), "/remote/features", recursive=True)
    shards, expected = FeatureShards.open("memory://remote/features"), FeatureShards.open(tmp_path / "local")
    for split in SPLITS:
        for clip in expected.clips(split):
            assert clip.sha256 is not None
            assert torch.equal(shards.load(clip.sha256, UNIFORM), expected.load(clip.sha256, UNIFORM))


class Command:
    """`extract` as a user runs it, in a process of its own."""

    def __init__(self, shards: Path, backbone: Path) -> None:
        self.shards, self.backbone = shards, backbone

    def __call__(self, output: Path, launcher: Sequence[str] = (), num_views: int = 6) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                sys.executable, *launcher, str(SCRIPTS / "extract_features.py"), "--dataset", str(self.shards),
                "--output", str(output), "--backbone", str(self.backbone), "--num-workers", "0",
                "--num-views", str(num_views),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ends(self, output: Path, launcher: Sequence[str] = ()) -> str:
        process = self(output, launcher)
        printed, errors = process.communicate()
        assert process.returncode == 0, errors
        return printed


@pytest.fixture
def command(same_clips: SameClips, tiny_backbone: Path) -> Command:
    return Command(same_clips.shards, tiny_backbone)


def finished(output: Path) -> list[Path]:
    return list(output.glob("*.parquet"))


def test_a_killed_run_resumes_and_a_run_beside_it_takes_over_to_the_same_shards(
    command: Command, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    with command(killed) as process:
        while not finished(killed) and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    done = {path.name: path.stat().st_mtime_ns for path in finished(killed)}
    assert 1 <= len(done) < 7
    with pytest.raises(DatasetError, match="the extraction has not ended"):
        FeatureShards.open(killed)
    # Two that know nothing of each other, of which one dies in the middle of a shard, while the other is in another.
    runs = [command(killed), command(killed)]

    def in_a_shard(run: subprocess.Popen[str]) -> bool:
        return bool(list(killed.glob(f".*.{run.pid}")))

    while not (begun := [run for run in runs if in_a_shard(run)]):
        assert any(run.poll() is None for run in runs)
        time.sleep(0.002)
    dying = begun[0]
    dying.send_signal(signal.SIGSTOP)
    surviving = next(run for run in runs if run is not dying)
    while not in_a_shard(surviving) and surviving.poll() is None:
        time.sleep(0.002)
    dying.kill()
    printed, errors = surviving.communicate()
    dying.communicate()
    assert dying.returncode == -signal.SIGKILL
    assert surviving.returncode == 0, errors
    assert "of 7 shards extracted by this process" in printed
    command.ends(tmp_path / "unbroken")
    assert whole_files(killed) == whole_files(tmp_path / "unbroken")
    assert len(whole_files(killed)) == 7 + 1
    for name, changed in done.items():
        assert (killed / name).stat().st_mtime_ns == changed


def whole_files(output: Path) -> dict[str, bytes]:
    """What a killed process was writing stays under a name that nothing reads."""
    return {name: content for name, content in file_bytes(output).items() if not name.startswith(".")}


def test_processes_of_one_launch_share_the_shards(command: Command, tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    printed = command.ends(tmp_path / "two", torchrun)
    shares = [int(line.split()[0]) for line in printed.splitlines() if "of 7 shards extracted" in line]
    assert sum(shares) == 7
    assert all(shares)
    command.ends(tmp_path / "one")
    assert whole_files(tmp_path / "two") == whole_files(tmp_path / "one")


def test_what_another_backbone_or_processor_made_is_refused_by_name(
    same_clips: SameClips,
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
) -> None:
    output, other_output = tmp_path / "features", tmp_path / "others"
    extract_shards(extractor(tiny_model, tiny_processor, same_clips.shards, output))
    larger = ResNetLSTMVideoProcessor(size={"height": 40, "width": 32}, num_frames=6)
    with pytest.raises(ValueError, match=r"parquet: holds what another .* height: 32 there, 40 here"):
        extract_shards(extractor(tiny_model, larger, same_clips.shards, output))
    other_model = build_tiny_model(save_tiny_backbone(tmp_path / "backbone", [8, 16]))
    with torch.no_grad():
        other_model.resnet_lstm.backbone.embedder.embedder.convolution.weight += 1e-3
    with pytest.raises(ValueError, match="backbone_sha256"):
        extract_shards(extractor(other_model, tiny_processor, same_clips.shards, output))
    with pytest.raises(ValueError, match="backbone_sha256"):
        FeatureShards.open(output).check_made_by(other_model.resnet_lstm, tiny_processor, "fp32")
    extract_shards(extractor(other_model, tiny_processor, same_clips.shards, other_output))
    name = "train-00001-of-00005.parquet"
    shutil.copy(other_output / name, output / name)
    with pytest.raises(DatasetError, match=rf"{name}: was made by another backbone or processor .*backbone_sha256"):
        FeatureShards.open(output)


def test_a_changed_shard_and_a_damaged_file_are_computed_anew(
    same_clips: SameClips,
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
) -> None:
    shards = Path(shutil.copytree(same_clips.shards, tmp_path / "shards"))
    output = tmp_path / "features"

    def extracted(views: Sequence[View] = TWO_VIEWS) -> int:
        return extract_shards(extractor(tiny_model, tiny_processor, shards, output, views)).extracted

    assert (extracted(), extracted()) == (7, 0)
    before = file_bytes(output)
    names = ["train-00000-of-00005", "train-00001-of-00005", "train-00002-of-00005"]
    os.utime(shards / f"{names[0]}.tar", (0, 0))
    (output / f"{names[1]}.parquet").write_bytes(before[f"{names[1]}.parquet"][:-20])
    (output / f"{names[2]}.parquet").unlink()
    with pytest.raises(ValueError, match=f"{names[1]}.parquet: damaged"):
        FeatureShards.open(output)
    assert extracted() == 3
    after = file_bytes(output)
    assert {name for name in before if after[name] != before[name]} == {f"{names[0]}.parquet"}
    assert extracted([UNIFORM]) == 7


def test_a_flipped_bit_and_a_missing_file_are_named_when_they_are_read(
    same_clips: SameClips,
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
) -> None:
    extract_shards(extractor(tiny_model, tiny_processor, same_clips.shards, tmp_path))
    path = tmp_path / "test-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    features = FeatureShards.open(tmp_path).load(FeatureShards.open(tmp_path).clips("test")[2].sha256 or "", UNIFORM)
    content[content.index(features.numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name}: damaged .*Extract again"):
        list(FeatureShards.open(tmp_path).chunks("test"))
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path.name} is missing"):
        FeatureShards.open(tmp_path)


def test_a_broken_clip_is_listed_and_the_rest_are_done(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    frames = torch.randint(0, 255, (8, 32, 32, 3), dtype=torch.uint8).numpy()
    entries = [
        Entry("train", write_video(tmp_path / f"{name}.mp4", frames), Clip(f"{name}.mp4", "run"))
        for name in ("first", "second", "third")
    ]
    entries[1].source.write_bytes(b"no video")
    write_clip_shards(tmp_path / "shards", entries, ["run"], {}, 1)
    done = extract_shards(extractor(tiny_model, tiny_processor, tmp_path / "shards", tmp_path / "features"))
    assert list(done.failed) == ["second.mp4"]
    assert "not readable as a video" in done.failed["second.mp4"]
    shards = FeatureShards.open(tmp_path / "features")
    assert {clip.file_name for clip in shards.clips("train")} == {"first.mp4", "third.mp4"}
    # Told by the file, where the metadata do not.
    assert shards.clips("train")[0].seconds == pytest.approx(8 / 25)
    manifest = json.loads((tmp_path / "features" / "manifest.json").read_text())
    assert manifest["failed"] == done.failed
