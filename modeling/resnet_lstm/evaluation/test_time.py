"""What reading more or less of a clip is worth: frames, clips and mirror images against their cost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ..data.video_folder import DatasetError, VideoFolder
from ..features import UNIFORM, ClipFile, FeatureCache, View, clip_files, extract_features
from ..inference.anytime import read_until_sure
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..whole_file import write_texts
from .evaluate_model import scorable_clips
from .intervals import Interval, bootstrap_over_groups, in_points, paired_difference
from .plots import BLUE, ORANGE, save_figure


@dataclass(frozen=True)
class Reading:
    """A way of reading a clip: the model reads it once for each view, and the logits are averaged.

    Attributes:
        name: What people call it.
        frames: How many frames of the clip it reads at a time, as a multiple of the processor's.
        views: Which frames, and whether mirrored.
    """

    name: str
    frames: float = 1.0
    views: tuple[View, ...] = (UNIFORM,)

    @property
    def cost(self) -> float:
        """Frames that pass the backbone, as a multiple of the usual; all else is below a hundredth of that."""
        return self.frames * len(self.views)


USUAL = "as usual"
UNTIL_SURE = "until sure"
READINGS = (
    Reading("half the frames", 0.5),
    Reading(USUAL),
    Reading("twice the frames", 2.0),
    Reading("and mirrored", 1.0, (UNIFORM, View("uniform-flip"))),
    Reading("and once more, other frames", 1.0, (UNIFORM, View("random-1"))),
    Reading("and twice more, other frames", 1.0, (UNIFORM, View("random-1"), View("random-2"))),
)


@dataclass(frozen=True)
class PricedReading:
    """A reading, what it costs and what it scores.

    Attributes:
        name: Of the reading.
        num_frames: Frames that pass the backbone, in the mean of all clips.
        cost: The same as a multiple of the usual.
        top1: With its interval over groups.
        macro_f1: Likewise.
        gain_top1: Over the usual reading of the same clips; None for that one itself.
        gain_macro_f1: Likewise.
    """

    name: str
    num_frames: float
    cost: float
    top1: Interval
    macro_f1: Interval
    gain_top1: Interval | None
    gain_macro_f1: Interval | None


def price_readings(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    folder: VideoFolder,
    split: str,
    cache_dir: Path,
    *,
    batch_size: int = 1,
    num_workers: int | None = None,
) -> list[PricedReading]:
    """Score a split in each of `READINGS`, and read only until sure where the model knows when that is.

    The processor is left as it was.

    Args:
        model: The model.
        processor: Its processor.
        folder: The dataset.
        split: The split.
        cache_dir: The folder of all caches of features.
        batch_size: Clips that pass the backbone together.
        num_workers: How many decode ahead.

    Raises:
        DatasetError: The split has no clip, or one that cannot be decoded or is of a class that the model does not
            know.
    """
    clips, files = scorable_clips(model, folder, split), clip_files(folder, split)
    labels = [model.config.label2id[clip.label] for clip in clips]
    groups = [folder.group_of(clip) for clip in clips]

    logits_of: dict[tuple[int, View], np.ndarray] = {}
    num_frames_of = {reading.name: max(1, round(reading.frames * processor.num_frames)) for reading in READINGS}
    for num_frames in sorted(set(num_frames_of.values())):
        views = {view for r in READINGS if num_frames_of[r.name] == num_frames for view in r.views}
        reader = type(processor).from_dict({**processor.to_dict(), "num_frames": num_frames})
        cache = FeatureCache.of_model(cache_dir, model.resnet_lstm, reader)
        extraction = extract_features(
            model.resnet_lstm,
            reader,
            cache,
            files,
            sorted(views, key=lambda view: view.name),
            batch_size=batch_size,
            num_workers=num_workers,
            distributed=False,
        )
        if extraction.failed:
            raise DatasetError(f"{next(iter(extraction.failed.values()))} Readings are compared on the same clips.")
        for view in views:
            logits_of[num_frames, view] = _logits(model, files, cache, view)

    averaged = {
        reading.name: np.mean([logits_of[num_frames_of[reading.name], view] for view in reading.views], axis=0)
        for reading in READINGS
    }
    frames_read = {reading.name: float(num_frames_of[reading.name] * len(reading.views)) for reading in READINGS}
    if (sure_at := model.config.early_exit_score) is not None:
        cache = FeatureCache.of_model(cache_dir, model.resnet_lstm, processor)
        averaged[UNTIL_SURE], frames_read[UNTIL_SURE] = _read_until_sure(model, files, cache, sure_at)
    priced = []
    for name, logits in averaged.items():
        intervals = bootstrap_over_groups(logits, labels, groups)
        gain = {} if name == USUAL else paired_difference(logits, averaged[USUAL], labels, groups)
        priced.append(
            PricedReading(
                name,
                frames_read[name],
                frames_read[name] / frames_read[USUAL],
                intervals["top1"],
                intervals["macro_f1"],
                gain.get("top1"),
                gain.get("macro_f1"),
            )
        )
    return priced


@torch.inference_mode()
def _logits(
    model: ResNetLSTMForVideoClassification, files: Sequence[ClipFile], cache: FeatureCache, view: View
) -> np.ndarray:
    model.eval()
    logits = []
    for file in files:
        frame_features = cache.load(file.sha256, view)[None].to(model.device)  # [1, T, D]
        logits.append(model(frame_features=frame_features).logits[0].float().cpu().numpy())
    return np.stack(logits)


def _read_until_sure(
    model: ResNetLSTMForVideoClassification, files: Sequence[ClipFile], cache: FeatureCache, sure_at: float
) -> tuple[np.ndarray, float]:
    """Logits `[N, L]`, and how many frames of a clip were read in the mean."""
    model.eval()
    logits, num_read = [], []
    for file in files:
        frame_features = cache.load(file.sha256, UNIFORM).to(model.device)  # [T, D]
        reading = read_until_sure(model, frame_features.__getitem__, len(frame_features), sure_at)
        logits.append(reading.logits.float().cpu().numpy())
        num_read.append(len(reading.indices))
    return np.stack(logits), float(np.mean(num_read))


def readings_markdown(priced: Sequence[PricedReading]) -> str:
    """A table for people; figures in %, gains in points."""
    header = ("reading", "frames", "cost", "top-1", "macro F1", "gain in top-1", "gain in macro F1")
    lines = [header, ("---",) * len(header)]
    for reading in priced:
        figures = (f"{100 * figure.value:.1f} %" for figure in (reading.top1, reading.macro_f1))
        gains = (in_points(gain) if gain else "" for gain in (reading.gain_top1, reading.gain_macro_f1))
        lines.append((reading.name, f"{reading.num_frames:.3g}", f"{reading.cost:.2f}", *figures, *gains))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write_readings(priced: Sequence[PricedReading], facts: Mapping[str, object], directory: Path) -> None:
    """Write `test_time.json`, `test_time.csv`, `test_time.md` and `test_time.png`.

    Args:
        priced: The readings.
        facts: What they rest on: model, dataset, split.
        directory: Where to write.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("reading", "num_frames", "cost", "top1", "macro_f1"))
    for reading in priced:
        figures = (f"{figure.value:.4f}" for figure in (reading.top1, reading.macro_f1))
        writer.writerow((reading.name, reading.num_frames, reading.cost, *figures))
    write_texts(
        directory,
        {
            "test_time.json": json.dumps({**facts, "readings": [asdict(reading) for reading in priced]}, indent=2)
            + "\n",
            "test_time.csv": text.getvalue(),
            "test_time.md": readings_markdown(priced),
        },
    )
    _plot(priced, directory / "test_time.png")


def _plot(priced: Sequence[PricedReading], path: Path) -> None:
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for kind, colour, shift in (("top1", BLUE, -0.02), ("macro_f1", ORANGE, 0.02)):
        intervals = [getattr(reading, kind) for reading in priced]
        axes.errorbar(
            [reading.cost + shift for reading in priced],
            [100 * interval.value for interval in intervals],
            yerr=[
                [100 * (interval.value - interval.low) for interval in intervals],
                [100 * (interval.high - interval.value) for interval in intervals],
            ],
            fmt="o",
            color=colour,
            capsize=2.5,
            label={"top1": "top-1", "macro_f1": "macro F1"}[kind],
        )
    offset_of_cost: dict[float, int] = {}
    for reading in priced:
        # Readings of one cost stand above each other.
        offset = offset_of_cost[reading.cost] = offset_of_cost.get(reading.cost, 0) + 12
        axes.annotate(
            reading.name,
            (reading.cost, 100 * reading.top1.value),
            xytext=(6, offset - 9),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlabel("cost, as a multiple of the usual reading")
    axes.set_ylabel("%, 95 % interval over groups")
    axes.set_xlim(0, max(reading.cost for reading in priced) + 1)
    axes.grid(color="#e6e8eb")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("Reading more or less of a clip", fontsize=11)
    save_figure(figure, path)
