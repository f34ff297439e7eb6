"""What the Hub, or the way to it, answers with when it fails: one clear line each, and what is worth another try."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,  # of whichever httpx this version of huggingface_hub speaks through: the base of its network errors
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .errors import PublishingError

logger = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 4
FIRST_WAIT_SECONDS = 2.0
# The Hub counts requests in windows of five minutes.
LONGEST_WAIT_SECONDS = 300.0
TRY_AGAIN_STATUSES = frozenset((408, 429, 500, 502, 503, 504))


def with_retries(action: Callable[[], T], repo_id: str, *, after_lost_answer: bool = True) -> T:
    """Do something with the Hub, again and later where that may help: after 429, 5xx and cut connections.

    huggingface_hub tries its uploads again by itself, but neither a commit nor the making of a repository.

    Args:
        action: Must be safe to do twice: an answer may get lost after the Hub has done what was asked.
        repo_id: For the message.
        after_lost_answer: Whether it is; if not, a cut connection is not tried again.

    Raises:
        PublishingError: It failed for good; the message is one line without any address, since some addresses that
            the Hub hands out for uploads carry a signature.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except (HTTPError, OSError, RuntimeError, ValueError) as error:
            cause = _cause(error)
            wait_seconds = _seconds_until_next_try(cause, attempt, after_lost_answer)
            if wait_seconds is None:
                raise PublishingError(explain(cause, repo_id)) from error
            logger.warning("%s (trying again in %g s)", explain(cause, repo_id), wait_seconds)
            time.sleep(wait_seconds)
    raise AssertionError("the last attempt returns or raises")


def explain(error: BaseException, repo_id: str) -> str:
    """One line for a user: what is wrong, and what to do."""
    if isinstance(error, PublishingError):
        return str(error)
    if isinstance(error, OfflineModeIsEnabled):
        return f"{repo_id}: HF_HUB_OFFLINE is set, so nothing can be published. Unset it."
    if isinstance(error, LocalTokenNotFoundError):
        return f"{repo_id}: not logged in. Run `hf auth login`, or set HF_TOKEN."
    if isinstance(error, HfHubHTTPError):
        return f"{repo_id}: {_explain_status(error)}"
    if isinstance(error, HTTPError):
        return (
            f"{repo_id}: the connection to the Hub failed or was cut ({type(error).__name__}). Run the command again."
        )
    return f"{repo_id}: {_one_line(str(error)) or type(error).__name__}"


def _explain_status(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    said = _one_line(error.server_message or "")
    says = f" ({said})" if said else ""
    if isinstance(error, RevisionNotFoundError):
        return f"there is no such revision{says}."
    if status == 401:
        return f"401, not logged in or not with a valid token{says}. Run `hf auth login`, or set HF_TOKEN."
    if status == 403:
        return (
            f"403, this account may not write there{says}. Use a repository of your own, a token with write access, "
            "or --create-pr."
        )
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"404, no such repository, or a private one of somebody else{says}. Check the name."
    if status == 409:
        return f"409, in conflict with what is there{says}. Look at the repository, then run the command again."
    if status == 412:
        return f"412, somebody else has committed in the meantime{says}. Run the command again."
    if status == 429:
        return f"429, too many requests{says}. Wait a few minutes and run the command again."
    if status >= 500:
        return f"{status}, the Hub has a problem of its own{says}. Run the command again later."
    return f"{status}{says}."


def _seconds_until_next_try(error: BaseException, attempt: int, after_lost_answer: bool) -> float | None:
    """How long to wait before the next try, or None where there shall be none."""
    if attempt == ATTEMPTS or isinstance(error, OfflineModeIsEnabled):
        return None
    wait_seconds = FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
    if isinstance(error, HfHubHTTPError):
        if error.response.status_code not in TRY_AGAIN_STATUSES:
            return None
        asked = error.response.headers.get("Retry-After", "")
        wait_seconds = float(asked) if asked.isdigit() else wait_seconds
        return wait_seconds if wait_seconds <= LONGEST_WAIT_SECONDS else None
    return wait_seconds if isinstance(error, (HTTPError, ConnectionError)) and after_lost_answer else None


def _cause(error: BaseException) -> BaseException:
    """huggingface_hub wraps what goes wrong with one file of many into a RuntimeError."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _one_line(text: str) -> str:
    return " ".join(text.split())
