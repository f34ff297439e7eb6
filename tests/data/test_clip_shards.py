from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pytest

from clip_trees import file_bytes, make_clip
from hub_processes import TOKEN, hub_environment, run_python
from loopback_hub import LoopbackHub
from resnet_lstm.data import SPLITS, ClipShards, DatasetError, VideoFolder, names_shards, open_dataset
from resnet_lstm.data.clip_shards import StreamedClip
from resnet_lstm.data.shard_writing import write_clip_shards
from resnet_lstm_command import run_command
from shard_fixtures import SameClips, entries_of

Members = Sequence[tuple[str, bytes]]


def write_tar(url: str, members: Members) -> None:
    """A tar at a URL, or a path."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, member in members:
            info = tarfile.TarInfo(name)
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    with fsspec.open(url, "wb") as file:
        file.write(content.getvalue())


def samples(numbers: Sequence[int], told: Mapping[str, object]) -> Members:
    """Clips that are no videos, which nobody here decodes, each with what is told of it."""
    return [
        member
        for number in numbers
        for member in (
            (f"clip-{number}.mp4", f"video {number}".encode()),
            (f"clip-{number}.json", json.dumps({**told, "clip": number}).encode()),
        )
    ]


def all_clips(shards: ClipShards, split: str) -> list[StreamedClip]:
    """The clips of a split, shard by shard."""
    return [clip for shard in shards.shards if shard.split == split for clip in shards.clips(shard)]


@pytest.fixture
def memory() -> str:
    """An empty place in the memory of this process, by its URL."""
    file_system = fsspec.filesystem("memory")
    file_system.store.clear()
    return "memory://shards"


def test_shards_hold_the_clips_of_the_folder(same_clips: SameClips) -> None:
    folder, shards = same_clips.folder, ClipShards.open(same_clips.shards)
    assert [len([s for s in shards.shards if s.split == split]) for split in SPLITS] == [5, 1, 1]
    assert shards.info["labels"] == folder.labels
    for split in SPLITS:
        streamed = all_clips(shards, split)
        assert [clip.clip.file_name for clip in streamed] == [clip.file_name for clip in folder.clips(split)]
        for of_shard, clip in zip(streamed, folder.clips(split), strict=True):
            assert of_shard.content == folder.path(split, clip).read_bytes()
            assert (of_shard.clip.label, of_shard.clip.group, of_shard.clip.seconds) == (
                clip.label,
                clip.group,
                clip.seconds,
            )


def test_a_shard_holds_clips_of_all_classes_and_the_same_build_has_the_same_bytes(
    same_clips: SameClips, tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    shards = ClipShards.open(same_clips.shards)
    for shard in shards.shards:
        assert {clip.clip.label for clip in shards.clips(shard)} == set(tiny_dataset.labels)
    write_clip_shards(tmp_path / "again", entries_of(tiny_dataset), tiny_dataset.labels, tiny_dataset.info, 6)
    assert file_bytes(tmp_path / "again") == file_bytes(same_clips.shards)


def test_build_writes_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("run", "swim"):
        for recording in range(10):
            # Names with dots, and two containers, which readers of WebDataset would stumble over.
            make_clip(tmp_path / "clips" / label / f"{label}.{recording}_part1.{'mp4' if recording % 2 else 'avi'}")
    arguments = ["--from-folders", str(tmp_path / "clips"), "--group-regex", r"^(.*)_part", "--shards", "4"]
    assert run_command("build", [*arguments, "--output", str(tmp_path / "shards")]) == 0
    assert "Leakage: 0 of 2 test clips" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "shards").glob("*.tar")}
    assert names == {
        *(f"train-{number:05d}-of-00003.tar" for number in range(3)),
        *("validation-00000-of-00001.tar", "test-00000-of-00001.tar"),
    }
    assert run_command("build", [*arguments[:-2], "--output", str(tmp_path / "folder")]) == 0
    folder, shards = VideoFolder.open(tmp_path / "folder"), ClipShards.open(tmp_path / "shards")
    for split in SPLITS:
        expected = {clip.file_name: folder.path(split, clip).read_bytes() for clip in folder.clips(split)}
        assert {clip.clip.file_name: clip.content for clip in all_clips(shards, split)} == expected
    assert run_command("build", [*arguments, "--output", str(tmp_path / "shards")]) == 2
    assert "holds a dataset already" in capsys.readouterr().err
    assert run_command("build", [*arguments, "--output", str(tmp_path / "shards"), "--overwrite"]) == 0


def test_splits_are_told_by_names_and_folders(memory: str) -> None:
    for name in ("train/000", "train/001", "val/000", "test/000"):
        write_tar(f"{memory}/{name}.tar", samples([len(name)], {"label": "run"}))
    shards = ClipShards.open(f"{memory}/**/*.tar")
    assert [(shard.name, shard.split) for shard in shards.shards] == [
        ("train-000", "train"),
        ("train-001", "train"),
        ("validation-val-000", "validation"),
        ("test-000", "test"),
    ]
    assert [clip.clip.clip for clip in all_clips(shards, "validation")] == [7]


def test_columns_that_only_some_clips_have_are_read(memory: str) -> None:
    told: dict[str, object] = {"label": "run", "group": None, "seconds": None}
    late = samples(range(8, 9), {"label": "run", "group": "late", "seconds": 1.5})
    write_tar(f"{memory}/train.tar", [*samples(range(8), told), *late])
    last = all_clips(ClipShards.open(f"{memory}/train.tar"), "train")[-1]
    assert (last.clip.group, last.clip.seconds, last.content) == ("late", 1.5, b"video 8")


@pytest.mark.parametrize(("suffix", "label", "expected"), [("cls", b"1", "swim"), ("txt", b"swim\n", "swim")])
def test_labels_may_stand_in_files_of_their_own(memory: str, suffix: str, label: bytes, expected: str) -> None:
    write_tar(f"{memory}/train.tar", [("a.webm", b"video"), (f"a.{suffix}", label)])
    with fsspec.open(f"{memory}/dataset.json", "w") as file:
        json.dump({"labels": ["run", "swim"]}, file)
    (clip,) = all_clips(ClipShards.open(memory), "train")
    assert (clip.clip.label, clip.clip.file_name, clip.content) == (expected, "a.webm", b"video")


def test_parquet_as_push_to_hub_writes_it_is_read(memory: str) -> None:
    features = datasets.Features(
        {
            "video": datasets.Video(decode=False),
            "label": datasets.ClassLabel(names=["run", "swim"]),
            "group": datasets.Value("string"),
        }
    )
    rows: dict[str, list[Any]] = {
        "video": [{"path": f"{number}.mp4", "bytes": f"video {number}".encode()} for number in range(20)],
        "label": [number % 2 for number in range(20)],
        "group": [f"g{number // 4}" for number in range(20)],
    }
    dataset = datasets.Dataset.from_dict(rows, features=features)
    for index in range(2):
        content = io.BytesIO()
        dataset.shard(2, index, contiguous=True).to_parquet(content)
        with fsspec.open(f"{memory}/data/train-{index:05d}-of-00002.parquet", "wb") as file:
            file.write(content.getvalue())
    shards = ClipShards.open(f"{memory}/data/*.parquet")
    assert len(shards.shards) == 2
    streamed = all_clips(shards, "train")
    assert [clip.content for clip in streamed] == [video["bytes"] for video in rows["video"]]
    assert [clip.clip.label for clip in streamed] == ["run", "swim"] * 10
    assert [clip.clip.group for clip in streamed] == rows["group"]
    assert streamed[0].clip.file_name == "0.mp4"


@pytest.mark.parametrize("left", [40 * 1024, 40 * 1024 + 100, 40 * 1024 + 600, 10])
def test_a_tar_that_is_cut_is_named(memory: str, left: int) -> None:
    write_tar(f"{memory}/train.tar", samples(range(40), {"label": "run"}))
    with fsspec.open(f"{memory}/train.tar", "rb") as file:
        content = file.read()
    with fsspec.open(f"{memory}/train.tar", "wb") as file:
        file.write(content[:left])
    shards = ClipShards.open(f"{memory}/train.tar")
    with pytest.raises(DatasetError, match=r"train\.tar: is cut short"):
        list(shards.clips(shards.shards[0]))


def test_clips_before_damage_are_read_and_the_damage_is_named(memory: str) -> None:
    write_tar(f"{memory}/train.tar", samples(range(40), {"label": "run"}))
    with fsspec.open(f"{memory}/train.tar", "rb") as file:
        content = bytearray(file.read())
    # In the header of the 21st clip's JSON.
    content[41 * 1024 : 41 * 1024 + 512] = bytes(range(256)) * 2
    with fsspec.open(f"{memory}/train.tar", "wb") as file:
        file.write(content)
    shards = ClipShards.open(f"{memory}/train.tar")
    streamed = shards.clips(shards.shards[0])
    assert [next(streamed).clip.clip for _ in range(20)] == list(range(20))
    with pytest.raises(DatasetError, match=r"train\.tar.* (cannot be read after|clip) 2\d"):
        next(streamed)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.mp4", b"video")], "train.tar, clip 1: has no label"),
        ([("a.json", b'{"label": "run"}')], "train.tar, clip 1: holds no video, but json"),
        ([("a.mp4", b"v"), ("a.json", b'{"label": "run", "seconds": "long"}')], "clip 1: could not convert"),
    ],
)
def test_what_is_missing_in_a_sample_is_named(memory: str, members: Members, message: str) -> None:
    write_tar(f"{memory}/train.tar", members)
    with pytest.raises(DatasetError, match=message):
        all_clips(ClipShards.open(f"{memory}/train.tar"), "train")


def test_names_that_lead_nowhere_are_refused_by_name(memory: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"memory://shards/\*\.tar: no \.tar or \.parquet file is there"):
        ClipShards.open(f"{memory}/*.tar")
    with pytest.raises(DatasetError, match=r"nosuch://bucket/x\.tar: .*nosuch"):
        ClipShards.open("nosuch://bucket/x.tar")
    for name in ("a.tar", "a.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match="tars and Parquet files at once"):
        ClipShards.open(tmp_path)


def test_which_names_are_shards(same_clips: SameClips) -> None:
    for name in ("s3://bucket/clips", "data/*.tar", "train.parquet", same_clips.shards):
        assert names_shards(name)
    for name in (same_clips.folder.root, "user/dataset", "no/such/folder"):
        assert not names_shards(name)
    with pytest.raises(DatasetError, match="A VideoFolder is needed here"):
        open_dataset(same_clips.shards)


STREAM_FROM_HUB = """
import json, sys
from huggingface_hub import HfApi
from resnet_lstm.data import ClipShards

api = HfApi()
api.create_repo("someone/shards", repo_type="dataset")
api.upload_folder(repo_id="someone/shards", repo_type="dataset", folder_path=sys.argv[1])
told = []
for name in ("someone/shards", "hf://datasets/someone/shards", "hf://datasets/someone/shards/test-*.tar"):
    shards = ClipShards.open(name)
    clips = [clip for shard in shards.shards if shard.split == "test" for clip in shards.clips(shard)]
    names = [clip.clip.file_name for clip in clips]
    told.append([len(shards.shards), shards.info["labels"], names, sum(len(clip.content) for clip in clips)])
print(json.dumps(told))
"""


def test_the_hub_is_streamed_by_the_name_of_a_dataset(
    same_clips: SameClips, loopback_hub: LoopbackHub, tmp_path: Path
) -> None:
    environment = hub_environment(loopback_hub.url, tmp_path, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1")
    whole, url, glob = json.loads(run_python(STREAM_FROM_HUB, same_clips.shards, environment=environment))
    folder = same_clips.folder
    names = [clip.file_name for clip in folder.clips("test")]
    size = sum(folder.path("test", clip).stat().st_size for clip in folder.clips("test"))
    assert whole == url == [7, folder.labels, names, size]
    assert glob == [1, folder.labels, names, size]
    assert not list(tmp_path.rglob("*.tar"))


STREAM_ALL = """
import resource, sys
from resnet_lstm.data import ClipShards

shards = ClipShards.open(sys.argv[1])
most = []
for clip in shards.clips(shards.shards[0]):
    most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(len(most), most[-1] - most[4])
"""


def test_no_more_than_some_clips_of_a_tar_are_held(tmp_path: Path) -> None:
    size = 2**20
    write_tar(
        str(tmp_path / "train.tar"),
        [
            member
            for number in range(100)
            for member in ((f"{number}.mp4", bytes([number]) * size), (f"{number}.txt", b"run"))
        ],
    )
    run = subprocess.run(
        [sys.executable, "-c", STREAM_ALL, str(tmp_path / "train.tar")], check=True, capture_output=True, text=True
    )
    clips, growth = map(int, run.stdout.split())
    assert clips == 100
    assert growth <= 10 * size
