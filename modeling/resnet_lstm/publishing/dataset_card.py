"""The dataset card, written from the metadata: what is in it, how to load it, and on what terms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from ..data.leakage import check_leakage
from ..data.ucf101 import HOMEPAGE
from ..data.video_folder import METADATA_FILE, SPLITS, VideoFolder
from .citations import UCF101, bibtex
from .facts import dataset_facts
from .markdown import bullets, literal, table

SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
COLUMNS = {
    "file_name": "the clip, relative to its split's folder",
    "label": "its class",
    "group": "the source video it was cut from; clips of one group look alike",
    "clip": "its number within the group",
    "num_frames": "pictures in the file",
    "fps": "frames per second, on average",
    "seconds": "duration",
    "width": "in pixels, as displayed",
    "height": "in pixels, as displayed",
    "sha256": "of the file's bytes",
}


def dataset_card(folder: VideoFolder, repo_id: str, *, with_clips: bool, license: str | None) -> DatasetCard:
    """Write a dataset's card.

    Args:
        folder: The dataset.
        repo_id: Where it will live on the Hub.
        with_clips: Whether the clips are published too, or the metadata only.
        license: A licence identifier of the Hub; UCF-101 has its own terms, whatever is given.
    """
    facts = dataset_facts(folder)
    terms: dict[str, Any] = {"license": license}
    if facts["is_ucf101"]:
        terms = {"license": "other", "license_name": "ucf101-research-use", "license_link": HOMEPAGE}
    data = DatasetCardData(
        pretty_name=facts["name"],
        task_categories=["video-classification"],
        size_categories=[_size_category(sum(facts["clips"].values()))],
        tags=["video", "action-recognition"],
        configs=data_configs(folder, with_clips=with_clips),
        **terms,
    )
    sections = [
        _introduction(folder, facts["name"], with_clips),
        _loading(repo_id, with_clips),
        _splits(folder),
        _classes(folder),
        f"## Columns\n\n{table(('column', 'what it holds'), _columns(with_clips).items())}",
        _terms(facts["is_ucf101"]),
        bibtex(UCF101) if facts["is_ucf101"] else "",
    ]
    body = "\n\n".join(section for section in sections if section)
    return DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")


def data_configs(folder: VideoFolder, *, with_clips: bool) -> list[dict[str, Any]]:
    """Which files `load_dataset` and the Hub's viewer read for each split: clips and metadata, or the metadata."""
    files = "**" if with_clips else METADATA_FILE
    splits = [{"split": split, "path": f"{split}/{files}"} for split in SPLITS if folder.clips(split)]
    return [{"config_name": "default", "data_files": splits}]


def _introduction(folder: VideoFolder, name: str, with_clips: bool) -> str:
    clips = sum(len(folder.clips(split)) for split in SPLITS)
    held = (
        "The clips are here, with their metadata."
        if with_clips
        else "Only the metadata are here: which clips, in which split, cut from which source video, with the SHA-256 "
        "of each file. The clips themselves are to be had from their authors."
    )
    return f"""# {literal(name)}

{clips} labelled clips of {len(folder.labels)} classes for video classification, split into training, validation and
test. {held}"""


def _loading(repo_id: str, with_clips: bool) -> str:
    if with_clips:
        return f"""## How to use

```python
from datasets import Video, load_dataset

dataset = load_dataset("{repo_id}").cast_column("video", Video(decode=False))
dataset["train"][0]["video"]["path"], dataset["train"][0]["label"]
```

`decode=False` gives the files; decoding inside `datasets` needs torchcodec and a system FFmpeg. With the `resnet-lstm`
package:

```bash
resnet-lstm train --dataset {repo_id} --output runs/model
```"""
    return f"""## How to use

```python
from datasets import load_dataset

dataset = load_dataset("{repo_id}")
dataset["train"][0]["file_name"], dataset["train"][0]["label"]
```

With the `resnet-lstm` package and a copy of the clips the dataset is made whole, byte for byte; each clip is found by
its name and checked by its SHA-256:

```bash
resnet-lstm build --metadata {repo_id} --clips-from path/to/clips --output data/complete
resnet-lstm train --dataset data/complete --output runs/model
```"""


def _splits(folder: VideoFolder) -> str:
    rows = []
    for split in SPLITS:
        clips = folder.clips(split)
        groups = {clip.group for clip in clips if clip.group}
        classes = len({clip.label for clip in clips})
        seconds = sum(clip.seconds or 0 for clip in clips)
        rows.append((split, len(clips), len(groups) or "not known", classes, f"{seconds:.0f}"))
    paragraphs = [f"## Splits\n\nSplit scheme: {folder.split_scheme}.{_what_the_split_tells(folder)}"]
    if folder.clips("train") and folder.clips("test"):
        paragraphs.append(check_leakage(folder).summary())
    paragraphs.append(table(("split", "clips", "groups", "classes", "seconds"), rows))
    return "\n\n".join(paragraphs)


def _what_the_split_tells(folder: VideoFolder) -> str:
    if folder.info.get("leaky"):
        return (
            " **This split is leaky**: clips cut from one source video stand on both sides, so figures on its test "
            "split say little about new videos."
        )
    return ""


def _classes(folder: VideoFolder) -> str:
    counts: Mapping[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SPLITS, 0))
    for split in SPLITS:
        for clip in folder.clips(split):
            counts[clip.label][split] += 1
    rows = [(literal(label), *counts[label].values()) for label in folder.labels]
    return f"## Classes\n\nClips of each class.\n\n{table(('class', *SPLITS), rows)}"


def _columns(with_clips: bool) -> dict[str, str]:
    if not with_clips:
        return COLUMNS
    return {"video": "the clip"} | {name: text for name, text in COLUMNS.items() if name != "file_name"}


def _terms(is_ucf101: bool) -> str:
    terms = ["Videos show people. Use them only with their consent or on another lawful ground, and identify no one."]
    if is_ucf101:
        terms.insert(
            0,
            f"The clips are UCF-101's ([its page]({HOMEPAGE})): taken from YouTube and offered for research. No "
            "licence for other use comes with them.",
        )
    return f"## Terms and misuse\n\n{bullets(terms)}"


def _size_category(clips: int) -> str:
    return next((name for limit, name in SIZES.items() if clips < limit), "1M<n<10M")
