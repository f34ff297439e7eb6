"""UCF-101 as it is distributed: `UCF-101/<Class>/v_<Class>_gNN_cNN.avi` and the official lists of its three splits.

Soomro, Zamir and Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild", 2012
(https://arxiv.org/abs/1212.0402). The clips of one group are cut from one source video.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .folder_clips import VIDEO_SUFFIXES
from .video_folder import DatasetError

logger = logging.getLogger(__name__)

HOMEPAGE = "https://www.crcv.ucf.edu/data/UCF101.php"
CLIPS_FOLDER = "UCF-101"
LISTS_FOLDER = "ucfTrainTestlist"

# The first 25 of the 101 classes, in the order of the official classInd.txt.
DEFAULT_CLASSES = (
    "ApplyEyeMakeup",
    "ApplyLipstick",
    "Archery",
    "BabyCrawling",
    "BalanceBeam",
    "BandMarching",
    "BaseballPitch",
    "Basketball",
    "BasketballDunk",
    "BenchPress",
    "Biking",
    "Billiards",
    "BlowDryHair",
    "BlowingCandles",
    "BodyWeightSquats",
    "Bowling",
    "BoxingPunchingBag",
    "BoxingSpeedBag",
    "BreastStroke",
    "BrushingTeeth",
    "CleanAndJerk",
    "CliffDiving",
    "CricketBowling",
    "CricketShot",
    "CuttingInKitchen",
)

# Mirrors have the clips in other containers than the .avi of the original, under the same names.
_CLIP_NAME = re.compile(r"v_(?P<label>[A-Za-z]+)_g(?P<group>\d{2})_c(?P<clip>\d{2})\.\w+")
_ORIGINAL_SUFFIX = ".avi"


class ClipName(NamedTuple):
    """What a clip's file name says."""

    label: str
    group: int
    clip: int


class UCF101Clip(NamedTuple):
    """A clip on disk. `group` is `<Class>_gNN`: g08 of two classes are two different source videos."""

    path: Path
    label: str
    group: str
    clip: int


class OfficialSplit(NamedTuple):
    """One of the three official splits: the `<Class>/<file name>` of its training and test clips."""

    train: frozenset[str]
    test: frozenset[str]


def parse_clip_name(file_name: str) -> ClipName:
    """Take apart `v_<Class>_gNN_cNN.avi`, or the same with another suffix of videos.

    Raises:
        DatasetError: The name has another form.
    """
    match = _CLIP_NAME.fullmatch(file_name) if _is_clip_name(file_name) else None
    if match is None:
        raise DatasetError(f"{file_name}: not a UCF-101 clip; their names have the form v_<Class>_gNN_cNN.avi.")
    return ClipName(match["label"], int(match["group"]), int(match["clip"]))


def find_clips_folder(root: str | Path) -> Path:
    """The folder of the class folders: `root/UCF-101`, or `root` itself.

    Raises:
        DatasetError: Neither holds a class folder with UCF-101 clips.
    """
    root = Path(root)
    folder = root / CLIPS_FOLDER if (root / CLIPS_FOLDER).is_dir() else root
    if not folder.is_dir() or not list_classes(folder):
        raise DatasetError(
            f"{root}: holds no UCF-101 clips. Expected {CLIPS_FOLDER}/<Class>/v_<Class>_gNN_cNN.avi in it; "
            f"the dataset is at {HOMEPAGE}."
        )
    return folder


def list_classes(clips_folder: Path) -> list[str]:
    """The classes that have at least one clip, in alphabetical order, upper and lower case alike."""
    return sorted(
        (
            folder.name
            for folder in clips_folder.iterdir()
            if folder.is_dir() and any(_is_clip_name(file.name) for file in folder.iterdir())
        ),
        key=str.lower,
    )


def list_clips(clips_folder: Path, label: str, limit: int | None = None) -> list[UCF101Clip]:
    """The clips of a class, sorted by file name; only the first `limit` of them if it is given.

    The label is the folder's name: the files of `HandstandPushups/` spell it `HandStandPushups`.
    """
    clips = []
    for name in _clip_names(clips_folder / label)[:limit]:
        _, group, clip = parse_clip_name(name)
        clips.append(UCF101Clip(clips_folder / label / name, label, f"{label}_g{group:02d}", clip))
    return clips


def what_is_no_clip(clips_folder: Path, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """The folders without a clip, and the files and folders of some classes that are none, relative to the folder.

    Of a clip that is there in several containers, all but the one that `list_clips` takes are among them.
    """
    entries = sorted(path for path in clips_folder.iterdir() if path.name != LISTS_FOLDER)
    classes = set(list_classes(clips_folder))
    empty = [path.name for path in entries if path.is_dir() and path.name not in classes]
    others = [path.name for path in entries if not path.is_dir()]
    for label in labels:
        clips = set(_clip_names(clips_folder / label))
        others += [
            f"{label}/{path.name}" for path in sorted((clips_folder / label).iterdir()) if path.name not in clips
        ]
    return empty, others


def _is_clip_name(file_name: str) -> bool:
    return _CLIP_NAME.fullmatch(file_name) is not None and Path(file_name).suffix.lower() in VIDEO_SUFFIXES


def _clip_names(folder: Path) -> list[str]:
    """The clips of a class by file name; of one in several containers the original, or else the first."""
    names: dict[str, str] = {}
    for name in sorted(file.name for file in folder.iterdir() if _is_clip_name(file.name)):
        if name.endswith(_ORIGINAL_SUFFIX) or Path(name).stem not in names:
            names[Path(name).stem] = name
    return sorted(names.values())


def listed_name(file_name: str) -> str:
    """What the official lists call a clip: they know its `<Class>/<name>.avi` only, whatever container it is in."""
    return PurePosixPath(file_name).with_suffix(_ORIGINAL_SUFFIX).as_posix()


def select_classes(available: Sequence[str], wanted: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose among the classes on disk.

    Args:
        available: The classes that are there.
        wanted: "default" for those of `DEFAULT_CLASSES` that are there, "available" for all that are there, or names.

    Returns:
        The chosen classes in alphabetical order, and the default ones that are missing.

    Raises:
        DatasetError: A class asked for by name is not there, or none of the default ones is.
    """
    if wanted == "available":
        return list(available), []
    if wanted == "default":
        chosen = [label for label in DEFAULT_CLASSES if label in available]
        missing = [label for label in DEFAULT_CLASSES if label not in available]
        if not chosen:
            raise DatasetError(
                f"None of the {len(DEFAULT_CLASSES)} default classes is there, but {len(available)} others are, such "
                f'as {", ".join(available[:3])}. Name the classes you want, or ask for "available".'
            )
        if missing:
            logger.warning("default classes that are not there: %s", ", ".join(missing))
        return chosen, missing
    names = [wanted] if isinstance(wanted, str) else wanted
    if not names:
        raise DatasetError('classes=[]: name at least one class, or ask for "default" or "available".')
    for name in names:
        if name not in available:
            raise DatasetError(f"Class {name!r} is not there. {_suggest(name, available)}")
    return sorted(set(names), key=str.lower), []


def find_lists_folder(clips_folder: Path, lists: str | Path | None = None) -> Path:
    """The folder of the official lists: `lists` or the `ucfTrainTestlist` in it, else the one beside the clips.

    Raises:
        DatasetError: No such folder is there.
    """
    if lists is None:
        candidates = [clips_folder.absolute().parent / LISTS_FOLDER, clips_folder / LISTS_FOLDER]
    else:
        candidates = [Path(lists) / LISTS_FOLDER, Path(lists)]
    for folder in candidates:
        if (folder / "trainlist01.txt").is_file():
            return folder
    raise DatasetError(
        f"{candidates[0]}: the official lists (trainlist01.txt, testlist01.txt, …) are not there. They are "
        f"in UCF101TrainTestSplits-RecognitionTask.zip at {HOMEPAGE}; extract it beside {CLIPS_FOLDER}/ or name its "
        "folder."
    )


def read_official_split(lists_folder: Path, number: int) -> OfficialSplit:
    """Read `trainlistNN.txt` and `testlistNN.txt`.

    Args:
        lists_folder: Where they are.
        number: 1, 2 or 3.

    Raises:
        DatasetError: A list is not there.
    """
    return OfficialSplit(
        train=_read_list(lists_folder / f"trainlist{number:02d}.txt"),
        test=_read_list(lists_folder / f"testlist{number:02d}.txt"),
    )


def _read_list(path: Path) -> frozenset[str]:
    if not path.is_file():
        raise DatasetError(f"{path}: this official list is not there. Extract the lists of {HOMEPAGE} again.")
    # A training list has the class number after the name: "Archery/v_Archery_g08_c01.avi 3"
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line.split()[0] for line in lines if line.strip())


def _suggest(name: str, available: Sequence[str]) -> str:
    by_lower = {label.lower(): label for label in available}
    near = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3)]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"{len(available)} classes are: {', '.join(available)}."
