"""Publish a model, a dataset or a Space on the Hugging Face Hub.

    resnet-lstm publish model runs/ucf101-25 --repo user/resnet-lstm-ucf101 --dataset user/ucf101-25
    resnet-lstm publish dataset data/ucf101-25 --repo user/ucf101-25
    resnet-lstm publish dataset data/mine --repo user/mine --with-clips --license cc-by-4.0 --private
    resnet-lstm publish space --repo user/action-recognition

Log in with `hf auth login` first, or set HF_TOKEN. --dry-run shows the card and every file, and contacts nobody.

The repository is created where it is missing. All files appear in one commit; after an error run the command again: it
goes on where it ended, and does nothing where nothing has changed. A model is refused if its card and its metrics
disagree, or if the card names no licence or no dataset. Of a dataset only the metadata are published unless
--with-clips is given.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from huggingface_hub.utils import logging as hub_logging

from ..publishing import (
    Publication,
    Published,
    PublishingError,
    prepare_dataset,
    prepare_model,
    prepare_space,
    publish,
    space_folder,
)
from .parser import CommandParser


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("publish", "{model,dataset,space} [DIR] --repo REPO", __doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND", prog="resnet-lstm publish")
    common = CommandParser(add_help=False)
    common.add_argument("--repo", required=True, metavar="OWNER/NAME", help="where")
    common.add_argument("--private", action="store_true", help="create the repository as a private one")
    common.add_argument("--revision", default="main", metavar="NAME", help="branch, created if it is missing")
    common.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing to main")
    common.add_argument("--mirror", action="store_true", help="delete what the repository holds and DIR does not")
    common.add_argument("--dry-run", action="store_true", help="show the card and the files; upload nothing")

    model = kinds.add_parser("model", parents=[common], help="a directory that `train` made")
    model.add_argument("--dataset", metavar="OWNER/NAME", help="the dataset's repository, for the card")
    dataset = kinds.add_parser("dataset", parents=[common], help="a folder that `build` made")
    dataset.add_argument("--with-clips", action="store_true", help="publish the clips, not only the metadata")
    dataset.add_argument("--yes", action="store_true", help="do not ask before clips become public")
    for kind in (model, dataset):
        kind.add_argument("directory", metavar="DIR", type=Path, help="what to publish")
        kind.add_argument("--license", metavar="ID", help="for example apache-2.0 or cc-by-4.0")
    space = kinds.add_parser("space", parents=[common], help="the Space of this package, or one of your own")
    space.add_argument(
        "directory", metavar="DIR", type=Path, nargs="?", help="a Space of your own (default: this package's)"
    )
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.create_pr and args.revision != "main":
        parser.error("--create-pr is against main; to add to an open pull request, give --revision refs/pr/NUMBER")
    return args


def _prepare(args: argparse.Namespace) -> Publication:
    if args.kind == "model":
        return prepare_model(args.directory, args.repo, dataset=args.dataset, license=args.license)
    if args.kind == "dataset":
        return prepare_dataset(args.directory, args.repo, with_clips=args.with_clips, license=args.license)
    return prepare_space(args.directory or space_folder())


def _may_go_public(args: argparse.Namespace) -> bool:
    """Ask before clips become public."""
    if args.kind != "dataset" or not args.with_clips or args.private or args.yes:
        return True
    print(
        f"{args.repo} will be public, and so will the clips. Publish them? [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _print_publication(publication: Publication) -> None:
    print(publication.card)
    for path in sorted(publication.files):
        print(f"{publication.size_bytes(path):12,}  {path}")
    total = sum(publication.size_bytes(path) for path in publication.files)
    print(f"{total:12,}  bytes in {len(publication.files)} files; nothing was uploaded (--dry-run)")


def _print_published(published: Published) -> None:
    if published.left:
        print(f"left in the repository, though not in the folder: {', '.join(published.left)} (--mirror deletes them)")
    if not published.sent and not published.deleted:
        print(f"nothing has changed: {published.url} holds it all at {published.commit}")
        return
    print(f"{published.url}: {len(published.sent)} files sent, {len(published.deleted)} deleted")
    print(f"pull request {published.pull_request}" if published.pull_request else f"revision {published.commit}")


def run(args: argparse.Namespace) -> int:
    """Publish, or show what would be."""
    # Its warnings hold the addresses of uploads, and those may hold a signature.
    hub_logging.set_verbosity_error()
    publication = _prepare(args)
    for warning in publication.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if args.dry_run:
        _print_publication(publication)
        return 0
    if not _may_go_public(args):
        raise PublishingError("not published. Publish the metadata only, or give --private, or --yes.")
    published = publish(
        publication,
        args.repo,
        private=args.private,
        revision=args.revision,
        create_pr=args.create_pr,
        mirror=args.mirror,
    )
    _print_published(published)
    return 0
