"""Make a dataset: UCF-101 or your own folders of clips -> train, validation and test.

Your own clips in DIR/<class>/, where kitchen_part1.mp4 and kitchen_part2.mp4 come from one recording:
    resnet-lstm build --from-folders DIR --group-regex '^(.*)_part' --output data/mine

UCF-101 that you have, as a folder or as an archive; some classes, or every class that is on disk:
    resnet-lstm build --ucf101 data/ucf101 --output data/ucf101-25
    resnet-lstm build --ucf101 UCF101.rar --classes Archery Basketball Punch --output data/three
    resnet-lstm build --ucf101 data/ucf101 --classes available --output data/all

UCF-101 downloaded into data/ucf101 first, split 1 of its authors:
    resnet-lstm build --ucf101 data/ucf101 --download --split official-1 --output data/ucf101-official

A dataset of which only the metadata are on the Hub (or here), with your own copy of its clips:
    resnet-lstm build --metadata user/name --clips-from data/ucf101 --output data/whole

What does the test split of a dataset share with its training clips?
    resnet-lstm build --check data/mine
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..data import (
    SPLIT_SCHEMES,
    SPLITS,
    VideoFolder,
    build_from_folders,
    build_ucf101,
    check_leakage,
    complete_dataset,
    open_dataset,
)
from ..data.archives import download_ucf101, open_ucf101
from ..plain_text import printable
from ..video_damage import Damage
from .parser import CommandParser, positive


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("build", "SOURCE --output DIR", __doc__)
    source = parser.add_argument_group("source (one of these)")
    source.add_argument(
        "--ucf101",
        metavar="DIR_OR_FILE",
        type=Path,
        help="UCF-101, a folder or an archive, extracted beside itself (default: $UCF101_ROOT)",
    )
    source.add_argument("--from-folders", metavar="DIR", type=Path, help="your own clips, DIR/<class>/*")
    source.add_argument("--metadata", metavar="NAME", help="a dataset without its clips, a folder or a Hub id")
    source.add_argument("--check", metavar="DIR", type=Path, help="build nothing; check a dataset for leakage")

    result = parser.add_argument_group("result")
    result.add_argument("--output", metavar="DIR", type=Path, help="where the dataset goes")
    result.add_argument("--overwrite", action="store_true", help="replace a dataset that was built before")
    result.add_argument(
        "--shards",
        type=positive,
        metavar="N",
        help="write the clips into about N WebDataset tars, to be streamed, in place of a VideoFolder",
    )
    result.add_argument(
        "--split",
        choices=SPLIT_SCHEMES,
        default="grouped",
        metavar="SCHEME",
        help="grouped: no recording in two splits; official-1, -2, -3: the lists of UCF-101's authors; "
        "random: clip by clip, which leaks",
    )
    result.add_argument("--seed", type=int, default=42, metavar="N", help="of the split")

    _add_own_clips(parser)
    ucf101 = parser.add_argument_group("UCF-101")
    ucf101.add_argument("--download", action="store_true", help="download it into --ucf101 first (6.5 GB)")
    ucf101.add_argument(
        "--classes",
        nargs="+",
        default=["default"],
        metavar="CLASS",
        help="names; default: those of the first 25 that are there; available: all that are",
    )
    ucf101.add_argument(
        "--max-videos-per-class",
        type=positive,
        default=200,
        metavar="N",
        help="of each class the first N clips by file name",
    )
    whole = parser.add_argument_group("a dataset without its clips")
    whole.add_argument("--clips-from", metavar="DIR", type=Path, help="the folder that holds them, at any depth")
    return parser


def _add_own_clips(parser: CommandParser) -> None:
    folders = parser.add_argument_group("your own clips")
    folders.add_argument(
        "--group-regex",
        metavar="REGEX",
        help="what in a file name tells its recording: the first capture group, else the match",
    )
    folders.add_argument(
        "--background",
        metavar="DIR",
        type=Path,
        help="clips, at any depth, that show none of the actions: with those of DIR/background/, the class background",
    )


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    others = (args.from_folders, args.metadata, args.check)
    if args.ucf101 is None and all(value is None for value in others) and os.environ.get("UCF101_ROOT"):
        args.ucf101 = Path(os.environ["UCF101_ROOT"])
    if sum(value is not None for value in (args.ucf101, *others)) != 1:
        parser.error("give exactly one of --ucf101, --from-folders, --metadata and --check")
    if (args.metadata is None) != (args.clips_from is None):
        parser.error("--metadata and --clips-from go together")
    if args.check is None and args.output is None:
        parser.error("--output is required")
    if args.group_regex and args.from_folders is None:
        parser.error("--group-regex goes with --from-folders")
    if args.background and args.from_folders is None:
        parser.error("--background goes with --from-folders")
    if args.shards and args.from_folders is None and args.ucf101 is None:
        parser.error("--shards goes with --ucf101 and --from-folders")
    if args.download and args.ucf101 is None:
        parser.error("--download goes with --ucf101")
    return args


def run(args: argparse.Namespace) -> int:
    """Build or check a dataset, and print what is in it."""
    folder = VideoFolder.open(args.check) if args.check else _build(args)
    _print_table(folder)
    _print_findings(folder)
    if folder.clips("test") and folder.clips("train"):
        print(check_leakage(folder).summary())
    else:
        print("Leakage: not checked, since the test or the training split is empty.")
    return 0


def _build(args: argparse.Namespace) -> VideoFolder:
    if args.metadata is not None:
        metadata = open_dataset(args.metadata, metadata_only=True)
        return complete_dataset(metadata, args.clips_from, args.output, overwrite=args.overwrite)
    if args.from_folders is not None:
        return build_from_folders(
            args.from_folders,
            args.output,
            background=args.background,
            group_regex=args.group_regex,
            split=args.split,
            seed=args.seed,
            overwrite=args.overwrite,
            num_shards=args.shards,
        )
    return build_ucf101(
        download_ucf101(args.ucf101) if args.download else open_ucf101(args.ucf101),
        args.output,
        classes=args.classes[0] if args.classes in (["default"], ["available"]) else args.classes,
        max_videos_per_class=args.max_videos_per_class,
        split=args.split,
        seed=args.seed,
        overwrite=args.overwrite,
        num_shards=args.shards,
    )


def _print_table(folder: VideoFolder) -> None:
    print(f"{folder.root}: {len(folder.labels)} classes, split {folder.split_scheme}")
    print(f"{'':12}{'clips':>8}{'groups':>8}{'seconds':>10}{'classes':>9}")
    for split in SPLITS:
        clips = folder.clips(split)
        groups = len({clip.group for clip in clips if clip.group}) or "-"
        seconds = sum(clip.seconds or 0 for clip in clips)
        print(f"{split:12}{len(clips):8}{groups:>8}{seconds:10.0f}{len({clip.label for clip in clips}):9}")


def _print_findings(folder: VideoFolder) -> None:
    info = folder.info
    for key in ("missing_classes", "empty_classes", *(f"classes_without_{split}" for split in SPLITS)):
        if info.get(key):
            print(f"{key.replace('_', ' ')}: {', '.join(info[key])}")
    if info.get("left_out"):
        print(f"left out: {info['left_out']}")
    for item in info.get("dropped_duplicates", ()):
        print(f"dropped {item['dropped']}: equals {item['kept']}")
    for item in info.get("conflicting_duplicates", ()):
        print(f"one clip under several labels: {', '.join(item['files'])}")
    for item in info.get("unreadable", ()):
        print(f"unreadable: {printable(item['cause'])}")
    for item in info.get("damaged", ()):
        damage = Damage(num_frames=item["total_frames"], num_missing=item["damaged_frames"])
        print(f"damaged: {printable(item['file'])}: {damage}")
