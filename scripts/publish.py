"""Publish a model, a dataset or a Space on the Hugging Face Hub.

    python scripts/publish.py model runs/ucf101-25 --repo user/resnet-lstm-ucf101 --dataset user/ucf101-25
    python scripts/publish.py dataset data/ucf101-25 --repo user/ucf101-25
    python scripts/publish.py dataset data/mine --repo user/mine --with-clips --license cc-by-4.0 --private
    python scripts/publish.py space space --repo user/action-recognition

Log in with `hf auth login` first, or set HF_TOKEN. --dry-run shows the card and every file, and contacts nobody.

The repository is created where it is missing. All files appear in one commit; after an error run the command again: it
goes on where it ended, and does nothing where nothing has changed. A model is refused if its card and its metrics
disagree, or if the card names no licence or no dataset. Of a dataset only the metadata are published unless
--with-clips is given.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from huggingface_hub.utils import logging as hub_logging

from resnet_lstm.publishing import (
    Publication,
    Published,
    PublishingError,
    prepare_dataset,
    prepare_model,
    prepare_space,
    publish,
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="{model,dataset,space}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("directory", metavar="DIR", type=Path, help="what to publish")
    common.add_argument("--repo", required=True, metavar="OWNER/NAME", help="where")
    common.add_argument("--private", action="store_true", help="create the repository as a private one")
    common.add_argument("--revision", default="main", help="branch, created from main if it is missing")
    common.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing to main")
    common.add_argument("--mirror", action="store_true", help="delete what the repository holds and DIR does not")
    common.add_argument("--dry-run", action="store_true", help="show the card and the files; upload nothing")

    model = kinds.add_parser("model", parents=[common], help="a directory that train.py made")
    model.add_argument("--dataset", metavar="OWNER/NAME", help="the dataset's repository, for the card")
    dataset = kinds.add_parser("dataset", parents=[common], help="a folder that build_dataset.py made")
    dataset.add_argument("--with-clips", action="store_true", help="publish the clips, not only the metadata")
    dataset.add_argument("--yes", action="store_true", help="do not ask before clips become public")
    for kind in (model, dataset):
        kind.add_argument("--license", metavar="ID", help="for example apache-2.0 or cc-by-4.0")
    kinds.add_parser("space", parents=[common], help="the folder of a Gradio Space")
    args = parser.parse_args(arguments)
    if args.create_pr and args.revision != "main":
        parser.error("--create-pr is against main; to add to an open pull request, give --revision refs/pr/NUMBER")
    return args


def prepare(args: argparse.Namespace) -> Publication:
    if args.kind == "model":
        return prepare_model(args.directory, args.repo, dataset=args.dataset, license=args.license)
    if args.kind == "dataset":
        return prepare_dataset(args.directory, args.repo, with_clips=args.with_clips, license=args.license)
    return prepare_space(args.directory)


def may_go_public(args: argparse.Namespace) -> bool:
    """Ask before clips become public."""
    if args.kind != "dataset" or not args.with_clips or args.private or args.yes:
        return True
    print(
        f"{args.repo} will be public, and so will the clips. Publish them? [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_publication(publication: Publication) -> None:
    print(publication.card)
    for path in sorted(publication.files):
        print(f"{publication.size_bytes(path):12,}  {path}")
    total = sum(publication.size_bytes(path) for path in publication.files)
    print(f"{total:12,}  bytes in {len(publication.files)} files; nothing was uploaded (--dry-run)")


def print_published(published: Published) -> None:
    if published.left:
        print(f"left in the repository, though not in the folder: {', '.join(published.left)} (--mirror deletes them)")
    if not published.sent and not published.deleted:
        print(f"nothing has changed: {published.url} holds it all at {published.commit}")
        return
    print(f"{published.url}: {len(published.sent)} files sent, {len(published.deleted)} deleted")
    print(f"pull request {published.pull_request}" if published.pull_request else f"revision {published.commit}")


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    # Its warnings hold the addresses of uploads, and those may hold a signature.
    hub_logging.set_verbosity_error()
    try:
        publication = prepare(args)
        for warning in publication.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if args.dry_run:
            print_publication(publication)
            return 0
        if not may_go_public(args):
            raise PublishingError("not published. Publish the metadata only, or give --private, or --yes.")
        published = publish(
            publication,
            args.repo,
            private=args.private,
            revision=args.revision,
            create_pr=args.create_pr,
            mirror=args.mirror,
        )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_published(published)
    return 0


if __name__ == "__main__":
    sys.exit(main())
