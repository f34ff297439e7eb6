"""A publication -> the Hub: create the repository, send what is new, make it visible in one commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from ..data.video_folder import file_sha256
from .errors import PublishingError
from .hub_errors import with_retries
from .publication import Publication

MAIN = "main"
# The Hub makes this file with the repository; it says what is stored as LFS.
KEPT = frozenset((".gitattributes",))


@dataclass(frozen=True)
class Published:
    """What came of it.

    Attributes:
        url: Of the repository.
        commit: The revision that holds the publication.
        sent: The files that were new or had changed; empty where nothing had.
        deleted: The files that were deleted.
        left: Other files that the repository holds.
        pull_request: The address of the pull request, where one was opened.
    """

    url: str
    commit: str
    sent: tuple[str, ...]
    deleted: tuple[str, ...]
    left: tuple[str, ...]
    pull_request: str | None = None


@dataclass(frozen=True)
class Difference:
    """What a revision lacks of a publication, and what it holds beside it."""

    changed: tuple[str, ...]
    others: tuple[str, ...]


def publish(
    publication: Publication,
    repo_id: str,
    *,
    private: bool = False,
    revision: str = MAIN,
    create_pr: bool = False,
    mirror: bool = False,
    api: HfApi | None = None,
) -> Published:
    """Publish; doing it twice makes no second commit, and doing it again after an error goes on where it ended.

    Large files are stored first, without being visible; those that have arrived are not sent again. The commit then
    shows all files at once or, if it fails, none. Authentication is huggingface_hub's.

    Args:
        publication: What to publish.
        repo_id: `owner/name`; the repository is created where it is missing.
        private: Create it as a private one.
        revision: The branch, which is created from main where it is missing.
        create_pr: Open a pull request against main instead of committing to it.
        mirror: Delete what the repository holds and the publication does not.
        api: Another client than the default one.

    Raises:
        PublishingError: The Hub did not take it; or it is to be private, and the repository is there and public.
    """
    api = api or HfApi()
    kind = publication.kind
    url = with_retries(
        lambda: api.create_repo(
            repo_id, repo_type=kind, private=private or None, space_sdk=publication.space_sdk, exist_ok=True
        ),
        repo_id,
    )
    if private and not with_retries(lambda: api.repo_info(repo_id, repo_type=kind), repo_id).private:
        raise PublishingError(
            f"{repo_id}: exists and is public. Make it private in its settings, or leave out --private."
        )
    if revision != MAIN and not revision.startswith("refs/"):
        with_retries(lambda: api.create_branch(repo_id, repo_type=kind, branch=revision, exist_ok=True), repo_id)

    sent: set[str] = set()
    deleted: set[str] = set()

    def commit() -> Published:
        # All of it, since after a lost answer the commit may be there already.
        head = api.repo_info(repo_id, repo_type=kind, revision=revision).sha or revision
        difference = _compare(api, publication, repo_id, head)
        others = difference.others if mirror else ()
        left = () if mirror else difference.others
        sent.update(difference.changed)
        deleted.update(others)
        pull_request = None
        if difference.changed or others:
            info = api.create_commit(
                repo_id,
                _operations(publication, difference.changed, others),
                commit_message=f"Publish the {kind}",
                repo_type=kind,
                revision=revision,
                create_pr=create_pr,
                parent_commit=None if create_pr else head,
            )
            head, pull_request = info.oid, info.pr_url
        return Published(str(url), head, tuple(sorted(sent)), tuple(sorted(deleted)), left, pull_request)

    return with_retries(commit, repo_id, after_lost_answer=not create_pr)


def _compare(api: HfApi, publication: Publication, repo_id: str, revision: str) -> Difference:
    tree = api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=publication.kind)
    there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    changed = [
        path
        for path, content in publication.files.items()
        if path not in there or not _is_the_same(content, there[path])
    ]
    return Difference(tuple(changed), tuple(sorted(there.keys() - publication.files.keys() - KEPT)))


def _is_the_same(content: Path | bytes, there: RepoFile) -> bool:
    if isinstance(content, Path):
        if content.stat().st_size != there.size:
            return False
        if there.lfs is not None:
            return file_sha256(content) == there.lfs.sha256
        content = content.read_bytes()
    if there.lfs is not None:
        return hashlib.sha256(content).hexdigest() == there.lfs.sha256
    return git_hash(content) == there.blob_id


def _operations(
    publication: Publication, changed: Iterable[str], deleted: Iterable[str]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    files = publication.files
    return [
        *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=files[path]) for path in changed),
        *(CommitOperationDelete(path_in_repo=path) for path in deleted),
    ]
