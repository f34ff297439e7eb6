"""A published dataset is read by the real `datasets` and trained on, in fresh processes that know the Hub only."""

from __future__ import annotations

import json
from pathlib import Path

from clip_trees import file_bytes, make_ucf101
from hub_processes import SCRIPTS, Publisher, hub_environment, run_python
from loopback_hub import LoopbackHub
from resnet_lstm.data import SPLITS, VideoFolder, build_ucf101

LOAD = """
import hashlib, json, sys
from datasets import Video, load_dataset
clips, metadata = sys.argv[1:]
with_clips = load_dataset(clips).cast_column("video", Video(decode=False))
without = load_dataset(metadata)
print(json.dumps({
    "splits": {split: len(rows) for split, rows in with_clips.items()},
    "clips": {
        hashlib.sha256(row["video"]["bytes"] or open(row["video"]["path"], "rb").read()).hexdigest(): row["label"]
        for rows in with_clips.values() for row in rows
    },
    "metadata": {split: [[row["file_name"], row["label"], row["sha256"]] for row in rows]
                 for split, rows in without.items()},
}))
"""
# Runs scripts one after the other; prints what each ended with and its complaints.
RUN = """
import contextlib, importlib, io, json, sys
sys.path.insert(0, sys.argv[1])
ends = []
for script, *arguments in json.loads(sys.argv[2]):
    complaints = io.StringIO()
    with contextlib.redirect_stderr(complaints):
        ends.append((importlib.import_module(script).main(arguments), complaints.getvalue()))
print(json.dumps(ends))
"""


def test_a_published_dataset_is_loaded_and_trained_on(
    publish: Publisher, loopback_hub: LoopbackHub, tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    root, license = tiny_dataset.root, ("--license", "cc-by-4.0")
    publish("dataset", root, "--repo", "someone/clips", "--with-clips", "--yes", *license)
    publish("dataset", root, "--repo", "someone/metadata", *license)
    again = publish("dataset", root, "--repo", "someone/clips", "--with-clips", "--yes", *license)
    assert "nothing has changed" in again.out
    assert loopback_hub.content("someone/metadata", "dataset").keys() == {
        "README.md", "dataset.json", "train/metadata.csv", "validation/metadata.csv", "test/metadata.csv"
    }  # fmt: skip

    environment = hub_environment(loopback_hub.url, tmp_path / "home")
    loaded = json.loads(run_python(LOAD, "someone/clips", "someone/metadata", environment=environment))
    clips = {split: tiny_dataset.clips(split) for split in SPLITS}
    assert loaded["splits"] == {split: len(members) for split, members in clips.items()}
    assert loaded["clips"] == {clip.sha256: clip.label for members in clips.values() for clip in members}
    assert loaded["metadata"] == {
        split: [[clip.file_name, clip.label, clip.sha256] for clip in members] for split, members in clips.items()
    }

    completed, run = tmp_path / "completed", tmp_path / "run"
    common: list[object] = ["--backbone", tiny_backbone, "--num_frames", 6, "--num_train_epochs", 1, "--no_baseline"]
    common += ["--cache_dir", tmp_path / "cache"]
    commands: list[list[object]] = [
        ["build_dataset", "--metadata", "someone/metadata", "--clips-from", root.parent, "--output", completed],
        ["train", "--dataset", "someone/clips", "--output", run, *common],
        ["train", "--dataset", "someone/metadata", "--output", tmp_path / "refused", *common],
    ]
    as_text = json.dumps([[*map(str, command)] for command in commands])
    (built, _), (trained, _), refused = json.loads(run_python(RUN, SCRIPTS, as_text, environment=environment))
    assert (built, trained) == (0, 0)
    assert file_bytes(completed) == file_bytes(root)
    assert "datasets:\n- someone/clips" in (run / "README.md").read_text()
    assert refused[0] == 2
    assert "error: someone/metadata: holds the metadata only." in refused[1]


def test_clips_become_public_only_when_asked_twice(
    publish: Publisher, loopback_hub: LoopbackHub, tmp_path: Path
) -> None:
    clips = make_ucf101(tmp_path / "ucf101", {"Archery": [1, 2, 3], "Biking": [1, 2, 3]}, clips_per_group=1)
    root = build_ucf101(clips, tmp_path / "dataset").root
    outcome = publish("dataset", root, "--repo", "someone/ucf101", "--with-clips", status=2)
    assert "the clips of UCF-101 are offered for research and come with no licence for other use" in outcome.err
    assert "someone/ucf101 will be public, and so will the clips. Publish them? [y/N]" in outcome.err
    assert not loopback_hub.requests

    publish("dataset", root, "--repo", "someone/ucf101", "--with-clips", "--private")
    assert loopback_hub.repository("someone/ucf101", "dataset").private
    card = loopback_hub.content("someone/ucf101", "dataset")["README.md"].decode()
    assert "license: other\n" in card
    assert "license_name: ucf101-research-use\n" in card
    assert "soomro2012ucf101" in card
