from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from resnet_lstm.data import DatasetError
from resnet_lstm.teaching.class_names import names_after_teaching
from resnet_lstm.teaching.clips import check_clips, collect_clips
from resnet_lstm.teaching.errors import TeachingError


def test_a_folder_stands_for_the_clips_in_it(new_clips: Path) -> None:
    one, *others = sorted((new_clips / "grow").iterdir())
    clips = collect_clips({"grow": new_clips / "grow", "green": [new_clips / "green_to_red"]})
    assert [clip.name for clip in clips if clip.label == "grow"] == [f"grow/{path.name}" for path in (one, *others)]
    assert len({clip.group for clip in clips}) == len(clips) == 8


def test_of_a_clip_and_its_copy_one_is_taken(new_clips: Path, tmp_path: Path) -> None:
    clip = new_clips / "grow" / "grow_000.mp4"
    copy = shutil.copy(clip, tmp_path / "copy.mp4")
    assert [found.name for found in collect_clips({"grow": [clip, copy]})] == ["grow/grow_000.mp4"]
    with pytest.raises(TeachingError, match=r"copy\.mp4: is given for 'grow' and for 'shrink'"):
        collect_clips({"grow": [clip], "shrink": [copy]})


def test_clips_of_one_name_are_told_apart(new_clips: Path, tmp_path: Path) -> None:
    for number in (0, 1):
        (tmp_path / str(number)).mkdir()
        shutil.copy(new_clips / "grow" / f"grow_00{number}.mp4", tmp_path / str(number) / "a.mp4")
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    names = [clip.name for clip in collect_clips({"grow": [tmp_path, frames, "https://example.org/b.mp4?key=secret"]})]
    assert names == ["grow/a.mp4", "grow/a.mp4 (2)", "grow/clip", "grow/b.mp4"]


def test_recordings_are_told_by_the_file_names(new_clips: Path) -> None:
    clips = collect_clips({"grow": new_clips / "grow"}, r"_00[01]|_.*(?=\.)")
    assert [clip.group for clip in clips] == ["_000", "_001", "_002", "_003"]
    for expression, says in (("nothing", "finds no group"), ("(", "not a regular expression")):
        with pytest.raises(DatasetError, match=says):
            collect_clips({"grow": new_clips / "grow"}, expression)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TeachingError, match=r"missing\.mp4: no such file or folder"):
        collect_clips({"grow": [tmp_path / "missing.mp4"]})
    with pytest.raises(FileNotFoundError, match="no clip in this folder"):
        collect_clips({"grow": tmp_path})


def test_a_class_takes_two_clips_of_two_recordings(new_clips: Path) -> None:
    classes = {"grow": [new_clips / "grow" / "grow_000.mp4"]}
    with pytest.raises(TeachingError, match=r"class 'grow': has 1 clip that can be used\. Give two or more"):
        check_clips(classes, collect_clips(classes))
    classes = {"grow": [new_clips / "grow"]}
    check_clips(classes, collect_clips(classes))
    with pytest.raises(TeachingError, match="all of its 4 clips are of one recording, 'grow_'"):
        check_clips(classes, collect_clips(classes, "^grow_"))


def test_new_classes_come_after_those_that_are_known() -> None:
    assert names_after_teaching(["b", "a"], ["c", "a"]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("known", "taught", "says"),
    [
        (["Jumping Jack"], ["jumping_jack"], "class 'jumping_jack': nearly the name of 'Jumping Jack'"),
        (["jump"], ["jump "], "class 'jump ': nearly the name of 'jump'"),
        ([], ["Wave", "wave"], "class 'wave': nearly the name of 'Wave'"),
        (["jump"], [" "], "class ' ': has no name"),
        ([], ["wave"], "wave: a model tells two classes apart at the least"),
    ],
)
def test_names_that_would_be_mixed_up_are_refused(known: list[str], taught: list[str], says: str) -> None:
    with pytest.raises(TeachingError, match=says):
        names_after_teaching(known, taught)
