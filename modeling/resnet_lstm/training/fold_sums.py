"""One pass over clips, by one process or by several, for a discriminant and its cross-validation over groups.

Of few clips the features are kept, of which a fit takes those it is made from. Of many it is the sums of each fold
(`class_sums`), from which those of all folds but one are made, and the features of some clips alone, to score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from .class_moments import ClassMoments
from .class_sums import ClassSums

# Held-out clips that choose the shrinkage and the temperature: of more, each tells what others have told.
NUM_SCORED = 10_000
_CHUNK = 4096


@dataclass(frozen=True)
class Rows:
    """Clips, of which everything is kept.

    Attributes:
        features: `[N, H]` float32.
        labels: `[N]`.
        groups: `[N]`.
        folds: `[N]`.
        digests: `[N]`, of the features' bytes: an order of the clips that does not depend on who read which when.
    """

    features: torch.Tensor
    labels: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: np.ndarray | slice) -> Rows:
        features = self.features[chosen if isinstance(chosen, slice) else torch.from_numpy(chosen)]
        return Rows(features, *(fact[chosen] for fact in self.facts()))

    def facts(self) -> tuple[np.ndarray, ...]:
        """All but the features."""
        return self.labels, self.groups, self.folds, self.digests

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Those of all parts."""
        facts = (np.concatenate(facts) for facts in zip(*(part.facts() for part in parts), strict=True))
        return cls(torch.cat([part.features for part in parts]), *facts)


def most_rows(num_features: int, num_scored: int = NUM_SCORED) -> int:
    """Of how many clips the features are kept: as long as they take less room than their products, or are few."""
    return max(num_features, num_scored)


class FoldSums:
    """What a discriminant needs to know of clips, in folds.

    Args:
        num_features: H.
        num_labels: L.
        num_folds: F, at least 1.
        num_scored: How many clips are kept to score where there are more than `most_rows`.
        device: Where the sums are kept, 8 F H^2 bytes.
    """

    def __init__(
        self,
        num_features: int,
        num_labels: int,
        num_folds: int,
        num_scored: int = NUM_SCORED,
        device: torch.device | str = "cpu",
    ) -> None:
        self.num_features, self.num_labels, self.num_folds = num_features, num_labels, num_folds
        self.num_scored, self.device = num_scored, device
        self.num_clips = 0
        self._of_fold: list[ClassSums] = []  # none as long as all clips are kept
        self._kept: list[Rows] = []
        self._highest_kept = np.uint64(2**64 - 1)
        self._room = torch.empty(0, num_features)

    def add(self, features: torch.Tensor, labels: np.ndarray, groups: Sequence[str], folds: np.ndarray) -> None:
        """Add clips.

        Args:
            features: `[N, H]`.
            labels: `[N]`, label ids.
            groups: `[N]`, the source each was cut from.
            folds: `[N]`, from 0 to F - 1; clips of one group are of one fold.
        """
        if len(labels) > _CHUNK:
            for start in range(0, len(labels), _CHUNK):
                part = slice(start, start + _CHUNK)
                self.add(features[part], labels[part], groups[part], folds[part])
            return
        rows = features.detach().cpu().float().contiguous()
        clips = Rows(rows, np.asarray(labels), np.asarray(groups), np.asarray(folds), _digests(rows))
        self.num_clips += len(clips)
        self._keep(clips)
        if self._of_fold:
            self._sum_up(clips, features)
        elif self.num_clips > most_rows(self.num_features, self.num_scored):
            self._begin_sums()

    def add_up_processes(self) -> None:
        """Turn what this process knows into what all do, all of which must make this call."""
        if PartialState().num_processes == 1:
            return
        self.num_clips = sum(gather_object([self.num_clips]))
        if self.num_clips > most_rows(self.num_features, self.num_scored) and not self._of_fold:
            self._begin_sums()
        for sums in self._of_fold:
            sums.add_up_processes()
        mine = self.scored() if self._kept else None
        digests = np.sort(np.concatenate(gather_object([mine.digests if mine else np.empty(0, np.uint64)])))
        if self._of_fold and mine:
            # No process sends what another's clips come before.
            mine = mine[mine.digests <= digests[: self.num_scored][-1]]
        self._kept = [part for part in gather_object([mine]) if part is not None and len(part)]

    def scored(self) -> Rows:
        """The clips that are kept, in the order of their digests."""
        kept = self._kept[0] if len(self._kept) == 1 else Rows.joined(self._kept)
        if (kept.digests[:-1] <= kept.digests[1:]).all() and not (self._of_fold and len(kept) > self.num_scored):
            return kept
        order = np.argsort(kept.digests, kind="stable")
        kept = kept[order[: self.num_scored] if self._of_fold else order]
        self._kept, self._room = [kept], self._room[:0].clone()
        return kept

    def moments(self, without: int | None = None) -> ClassMoments:
        """The moments of all clips, or of those of all folds but one."""
        if self._of_fold:
            return ClassSums.of_all(sums for fold, sums in enumerate(self._of_fold) if fold != without).moments()
        clips = self.scored()
        if without is not None:
            clips = clips[clips.folds != without]
        return ClassMoments.of(clips.features, clips.labels, clips.groups.tolist())

    def _keep(self, clips: Rows) -> None:
        if not self._of_fold:
            self._kept.append(clips)
            return
        kept = self._kept[0]
        clips = clips[clips.digests <= self._highest_kept]
        if len(kept) + len(clips) > len(self._room):
            kept = self._in_room(self.scored())
            clips = clips[clips.digests <= self._highest_kept]
        end = len(kept) + len(clips)
        self._room[len(kept) : end] = clips.features
        facts = (np.concatenate(pair) for pair in zip(kept.facts(), clips.facts(), strict=True))
        self._kept = [Rows(self._room[:end], *facts)]

    def _in_room(self, kept: Rows) -> Rows:
        """Clips whose features are moved to where those of later ones find room behind them."""
        self._highest_kept = kept.digests[-1]
        # In one piece: rows that are kept as they come would leave holes between what else comes and goes.
        self._room = torch.empty(self.num_scored + max(self.num_scored // 4, _CHUNK), self.num_features)
        self._room[: len(kept)] = kept.features
        return replace(kept, features=self._room[: len(kept)])

    def _begin_sums(self) -> None:
        self._of_fold = [ClassSums(self.num_features, self.num_labels, self.device) for _ in range(self.num_folds)]
        for clips in self._kept:
            for start in range(0, len(clips), _CHUNK):
                self._sum_up(clips[start : start + _CHUNK])
        if self._kept:
            self._kept = [self._in_room(self.scored())]

    def _sum_up(self, clips: Rows, features: torch.Tensor | None = None) -> None:
        features = clips.features if features is None else features
        for fold in np.unique(clips.folds):
            members = np.flatnonzero(clips.folds == fold)
            rows = features[torch.from_numpy(members).to(features.device)]
            self._of_fold[fold].add(rows, clips.labels[members], clips.groups[members].tolist())


def _digests(features: torch.Tensor) -> np.ndarray:
    """`[N, H]` -> `[N]` uint64."""
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in features.numpy())
    return np.frombuffer(digests, np.uint64)
