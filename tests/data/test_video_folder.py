from __future__ import annotations

from pathlib import Path

import pytest

from clip_trees import file_bytes, make_clip
from resnet_lstm.data.video_folder import Clip, DatasetError, Entry, VideoFolder, write_video_folder


def entries_of(source: Path, *places: str) -> list[Entry]:
    """An entry for each `<split>/<label>/<name>`."""
    entries = []
    for place in places:
        split, label, name = place.split("/")
        entries.append(Entry(split, make_clip(source / split / label / name), Clip(f"{label}/{name}", label)))
    return entries


def write_metadata(root: Path, split: str, text: str) -> None:
    (root / split).mkdir(parents=True)
    (root / split / "metadata.csv").write_text(text, encoding="utf-8")


def test_folder_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    clip = Clip("run/a.mp4", "run", "run_1", 1, 3, 25.0, 0.12, 48, 32, "ab" * 32)
    info = {"split_scheme": "grouped", "leaky": False}
    folder = write_video_folder(tmp_path / "out", [Entry("train", path, clip)], ["walk", "run"], info)
    assert folder.clips("train") == [clip]
    assert folder.clips("test") == []
    assert folder.labels == ["walk", "run"]
    assert folder.path("train", clip).read_bytes() == path.read_bytes()
    assert folder.split_scheme == "grouped"
    assert folder.info["counts"]["train"] == {"run": {"clips": 1, "groups": 1, "seconds": 0.12}}


def test_metadata_has_these_columns_in_this_order(tmp_path: Path) -> None:
    folder = write_video_folder(tmp_path / "out", entries_of(tmp_path, "train/run/a.mp4"), ["run"], {})
    header = (folder.root / "train" / "metadata.csv").read_text().splitlines()[0]
    assert header == "file_name,label,group,clip,num_frames,fps,seconds,width,height,sha256"


def test_same_name_in_two_classes_and_unicode_names_are_kept(tmp_path: Path) -> None:
    places = ["train/run/a.mp4", "train/walk/a.mp4", 'test/walk/dançar, "ü" 跳.mp4']
    folder = write_video_folder(tmp_path / "out", entries_of(tmp_path / "in", *places), ["run", "walk"], {})
    found = [f"{split}/{clip.file_name}" for split in ("train", "test") for clip in folder.clips(split)]
    assert found == places
    assert all((folder.root / place).is_file() for place in places)


def test_order_of_the_entries_does_not_matter(tmp_path: Path) -> None:
    entries = entries_of(tmp_path / "in", "train/run/a.mp4", "train/run/b.mp4", "test/run/c.mp4")
    first = write_video_folder(tmp_path / "1", entries, ["run"], {})
    second = write_video_folder(tmp_path / "2", reversed(entries), ["run"], {})
    assert file_bytes(first.root) == file_bytes(second.root)


def test_clips_are_hard_links_where_the_file_system_has_them(tmp_path: Path) -> None:
    (entry,) = entries_of(tmp_path / "in", "train/run/a.mp4")
    folder = write_video_folder(tmp_path / "out", [entry], ["run"], {})
    assert folder.path("train", entry.clip).samefile(entry.source)


def test_clips_are_copied_where_hard_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("links are not supported")

    monkeypatch.setattr("os.link", refuse)
    (entry,) = entries_of(tmp_path / "in", "train/run/a.mp4")
    path = write_video_folder(tmp_path / "out", [entry], ["run"], {}).path("train", entry.clip)
    assert path.read_bytes() == entry.source.read_bytes()
    assert not path.samefile(entry.source)


def test_folder_made_elsewhere_is_never_overwritten(tmp_path: Path) -> None:
    write_metadata(tmp_path / "out", "train", "file_name,label\na.mp4,run\n")
    before = file_bytes(tmp_path / "out")
    with pytest.raises(DatasetError, match="was not made by this program"):
        write_video_folder(tmp_path / "out", [], ["run"], {}, overwrite=True)
    assert file_bytes(tmp_path / "out") == before


def test_folder_made_here_is_overwritten_on_request_only(tmp_path: Path) -> None:
    write_video_folder(tmp_path / "out", entries_of(tmp_path / "in", "train/run/a.mp4"), ["run"], {})
    again = entries_of(tmp_path / "in", "train/run/b.mp4")
    with pytest.raises(DatasetError, match="holds a dataset already"):
        write_video_folder(tmp_path / "out", again, ["run"], {})
    folder = write_video_folder(tmp_path / "out", again, ["run"], {}, overwrite=True)
    assert [clip.file_name for clip in folder.clips("train")] == ["run/b.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert not (folder.root / "train" / "run" / "a.mp4").exists()


def test_failed_write_leaves_no_folder_and_the_old_one_untouched(tmp_path: Path) -> None:
    entries = entries_of(tmp_path / "in", "train/run/a.mp4", "train/run/b.mp4")
    folder = write_video_folder(tmp_path / "out", entries[:1], ["run"], {})
    before = file_bytes(folder.root)
    entries[1].source.unlink()
    for target in (tmp_path / "new", folder.root):
        with pytest.raises(FileNotFoundError):
            write_video_folder(target, entries, ["run"], {}, overwrite=True)
    assert file_bytes(folder.root) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_two_clips_at_one_place_are_refused(tmp_path: Path) -> None:
    (entry,) = entries_of(tmp_path / "in", "train/run/a.mp4")
    with pytest.raises(DatasetError, match=r"train/run/a\.mp4 is taken"):
        write_video_folder(tmp_path / "out", [entry, entry], ["run"], {})


def test_folder_with_only_file_name_and_label_opens(tmp_path: Path) -> None:
    write_metadata(tmp_path, "train", "\ufefffile_name,label,camera\nb.mp4,walk,left\na.mp4,run,right\n")
    folder = VideoFolder.open(tmp_path)
    assert folder.clips("train") == [Clip("b.mp4", "walk"), Clip("a.mp4", "run")]
    assert folder.labels == ["run", "walk"]
    assert folder.info == {}
    assert folder.split_scheme == "unknown"
    assert folder.group_of(folder.clips("train")[0]) == "b.mp4"


def test_missing_clip_is_noticed_when_its_path_is_asked_for(tmp_path: Path) -> None:
    write_metadata(tmp_path, "train", "file_name,label\na.mp4,run\n")
    folder = VideoFolder.open(tmp_path)
    with pytest.raises(DatasetError, match=r"a\.mp4: named in train/metadata\.csv, but not there"):
        folder.path("train", folder.clips("train")[0])


def test_leaky_folder_says_so(tmp_path: Path) -> None:
    write_metadata(tmp_path, "train", "file_name,label\na.mp4,run\n")
    (tmp_path / "dataset.json").write_text('{"split_scheme": "random", "leaky": true}')
    assert VideoFolder.open(tmp_path).split_scheme == "random (leaky)"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("file_name\na.mp4\n", "has no column label"),
        ("file_name,label\na.mp4,\n", "line 2: file_name and label must both be given"),
        ("file_name,label,width\na.mp4,run,wide\n", "line 2: width='wide' is not a number"),
        ("file_name,label\n../a.mp4,run\n", "must be a relative path inside"),
        ("file_name,label\n/etc/a.mp4,run\n", "must be a relative path inside"),
    ],
)
def test_malformed_metadata_is_an_error_that_names_the_line(tmp_path: Path, metadata: str, message: str) -> None:
    write_metadata(tmp_path, "train", metadata)
    with pytest.raises(DatasetError, match=message):
        VideoFolder.open(tmp_path)


def test_label_unknown_to_the_info_is_refused(tmp_path: Path) -> None:
    write_metadata(tmp_path, "train", "file_name,label\na.mp4,run\n")
    (tmp_path / "dataset.json").write_text('{"labels": ["walk"]}')
    with pytest.raises(DatasetError, match="has the label 'run'"):
        VideoFolder.open(tmp_path)


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a VideoFolder"):
        VideoFolder.open(tmp_path)
