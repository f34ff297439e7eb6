"""How much of a split the training clips give away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .video_folder import Clip, DatasetError, VideoFolder, file_sha256


@dataclass(frozen=True)
class Leakage:
    """What a split shares with the training clips.

    Attributes:
        split: The split that was checked.
        num_clips: Clips in it.
        groups_known: Whether every clip of it and of training has a group. Without groups nothing can be said about
            shared source videos, which is not the same as no leakage.
        shared_group: The file names of its clips whose group is in training too; None if groups are unknown.
        same_bytes: The file names of its clips whose bytes equal those of a training clip.
    """

    split: str
    num_clips: int
    groups_known: bool
    shared_group: tuple[str, ...] | None
    same_bytes: tuple[str, ...]

    @property
    def shared_group_fraction(self) -> float | None:
        """Clips that share a group with training, of all in the split (0 to 1); None if groups are unknown."""
        return None if self.shared_group is None else len(self.shared_group) / self.num_clips

    @property
    def same_bytes_fraction(self) -> float:
        """Clips that equal a training clip, of all in the split (0 to 1)."""
        return len(self.same_bytes) / self.num_clips

    def summary(self) -> str:
        """The finding in one sentence."""
        if self.shared_group is None:
            groups = "groups unknown, so shared source videos cannot be ruled out"
        else:
            groups = (
                f"{len(self.shared_group)} of {self.num_clips} {self.split} clips ({self.shared_group_fraction:.1%}) "
                "share a group with a training clip"
            )
        return f"Leakage: {groups}; {len(self.same_bytes)} of {self.num_clips} equal a training clip byte for byte."

    def to_dict(self) -> dict[str, Any]:
        """Counts and fractions, ready for JSON."""
        return {
            "split": self.split,
            "num_clips": self.num_clips,
            "groups_known": self.groups_known,
            "shared_group": None if self.shared_group is None else len(self.shared_group),
            "shared_group_fraction": self.shared_group_fraction,
            "same_bytes": len(self.same_bytes),
            "same_bytes_fraction": self.same_bytes_fraction,
        }


def check_leakage(folder: VideoFolder, split: str = "test") -> Leakage:
    """Compare a split's groups and bytes with those of the training clips.

    For the test split these are the validation clips too: they choose the model, and may be trained on in the end.
    Groups are compared as the metadata gives them, over all classes. Bytes are compared by SHA-256, read from the
    metadata or, where it lacks them, computed from the files.

    Raises:
        DatasetError: The split or the training split has no clips, or a file is missing.
    """
    clips, training = folder.clips(split), folder.clips("train")
    for name, members in ((split, clips), ("train", training)):
        if not members:
            raise DatasetError(f"{folder.root}: has no {name} clips, so there is nothing to compare.")
    learned_from = [("train", clip) for clip in training]
    if split == "test":
        learned_from += [("validation", clip) for clip in folder.clips("validation")]
    groups_known = all(clip.group for clip in [*clips, *(clip for _, clip in learned_from)])
    training_groups = {clip.group for _, clip in learned_from}
    training_hashes = {_sha256(folder, name, clip) for name, clip in learned_from}
    return Leakage(
        split=split,
        num_clips=len(clips),
        groups_known=groups_known,
        shared_group=tuple(clip.file_name for clip in clips if clip.group in training_groups)
        if groups_known
        else None,
        same_bytes=tuple(clip.file_name for clip in clips if _sha256(folder, split, clip) in training_hashes),
    )


def _sha256(folder: VideoFolder, split: str, clip: Clip) -> str:
    return clip.sha256 or file_sha256(folder.path(split, clip))
