from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from resnet_lstm import probe_video
from resnet_lstm.data import SPLITS, DatasetError, VideoFolder, build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.evaluation.joined_videos import (
    JoinedVideo,
    SourceClip,
    TrueSegment,
    join_clips,
    known_clips,
    unknown_clips,
)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of three clips of each of two classes."""
    root = tmp_path_factory.mktemp("others") / "clips"
    return write_generated_clips(root, 3, classes=["grow", "brighten"], size=(32, 32), num_frames=15)


def test_clips_of_unknown_classes_are_told_by_their_folder(others: Path) -> None:
    unknown = unknown_clips(others, ["brighten", "darken"])
    assert [clip.path.name for clip in unknown] == ["grow_000.mp4", "grow_001.mp4", "grow_002.mp4"]
    assert {clip.label for clip in unknown} == {None}
    with pytest.raises(DatasetError, match="of actions that the model knows"):
        unknown_clips(others, ["brighten", "grow"])


def test_clips_of_unknown_classes_are_told_by_the_metadata_of_a_dataset(tiny_dataset: VideoFolder) -> None:
    unknown = unknown_clips(tiny_dataset.root, ["darken"])
    assert len(unknown) == 20
    assert {clip.path.parent.name for clip in unknown} == {"brighten"}


def test_the_background_of_a_dataset_is_no_known_action(others: Path, tmp_path: Path) -> None:
    clips = shutil.copytree(others, tmp_path / "clips")
    (clips / "brighten").rename(clips / "Background")
    folder = build_from_folders(clips, tmp_path / "dataset")
    joined = [clip for split in SPLITS for clip in known_clips(folder, split)]
    assert {(clip.label, clip.path.parent.name) for clip in joined} == {(None, "Background"), ("grow", "grow")}
    unknown = unknown_clips(folder.root, folder.labels)
    assert {clip.path.parent.name for clip in unknown} == {"Background"}


def test_the_truth_is_where_the_clips_are(tiny_dataset: VideoFolder, others: Path, tmp_path: Path) -> None:
    known = known_clips(tiny_dataset, "validation") + known_clips(tiny_dataset, "test")
    unknown = unknown_clips(others, tiny_dataset.labels)
    videos = join_clips(known, unknown, tmp_path)
    # 8 known clips of 12 frames, at most 6 in a video, and 3 others of 15 frames, all at 25 fps.
    assert len(videos) == 2
    seconds = {"known": 0.0, "unknown": 0.0}
    for video in videos:
        assert video.segments[0].start_seconds == 0
        assert video.segments[-1].end_seconds == pytest.approx(probe_video(video.path).seconds)
        for before, after in zip(video.segments, video.segments[1:], strict=False):
            assert before.end_seconds == after.start_seconds
            assert before.label != after.label
        for segment in video.segments:
            kind = "unknown" if segment.label is None else "known"
            seconds[kind] += segment.end_seconds - segment.start_seconds
    assert seconds == {"known": pytest.approx(8 * 12 / 25), "unknown": pytest.approx(3 * 15 / 25)}


def test_the_same_seed_gives_the_same_videos_and_they_are_made_once(
    tiny_dataset: VideoFolder, others: Path, tmp_path: Path
) -> None:
    known, unknown = known_clips(tiny_dataset, "test"), unknown_clips(others, tiny_dataset.labels)
    videos = join_clips(known, unknown, tmp_path, seed=3)
    times = [video.path.stat().st_mtime_ns for video in videos]
    again = join_clips(known, unknown, tmp_path, seed=3)
    assert again == videos
    assert [video.path.stat().st_mtime_ns for video in again] == times
    assert join_clips(known, unknown, tmp_path / "other", seed=3)[0].path.read_bytes() == videos[0].path.read_bytes()
    assert join_clips(known, unknown, tmp_path, seed=4)[0].path.parent != videos[0].path.parent


def test_a_broken_clip_is_left_out(tiny_dataset: VideoFolder, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    known = known_clips(tiny_dataset, "test")[:1]
    videos = join_clips([*known, SourceClip(broken, "darken")], [], tmp_path)
    assert [segment.label for segment in videos[0].segments] == [known[0].label]
    with pytest.raises(DatasetError, match="can be decoded"):
        join_clips([SourceClip(broken, "darken")], [], tmp_path)


def test_the_label_of_a_moment() -> None:
    video = JoinedVideo(Path("v.mp4"), (TrueSegment("jump", 0, 1), TrueSegment(None, 1, 3)))
    assert [video.label_at(seconds) for seconds in (0, 0.9, 1.0, 2.9, 5.0)] == ["jump", "jump", None, None, None]
