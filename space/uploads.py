"""Uploaded files: what is let in, and that each is gone when the last request that wanted it has ended."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

# What surrounds a file in a multipart body.
_ENVELOPE_BYTES = 64 * 2**10
_SWEEP_EVERY_SECONDS = 60
KEPT_SECONDS = 15 * 60


class Uploads:
    """The folder of uploads and results. Two uploads of the same bytes are one file there, so their users are counted.

    Args:
        folder: Where Gradio keeps files, of this process alone.
        max_bytes: How large an upload may be.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self._users: Counter[Path] = Counter()
        self._num_arriving = 0
        self._unused: set[Path] = set()
        self._lock = threading.Lock()

    def arriving(self) -> None:
        """An upload begins. Until it has ended no file is deleted: it may be the one that is about to arrive anew."""
        with self._lock:
            self._num_arriving += 1

    def arrived(self, paths: list[Path]) -> None:
        """An upload has ended with these files; none where it failed."""
        with self._lock:
            self._num_arriving -= 1
            self._users.update(path.resolve() for path in paths)
            if self._num_arriving == 0:
                for path in self._unused:
                    self._delete_if_unused(path)
                self._unused.clear()

    def release(self, path: str | Path | None) -> None:
        """A request has ended that an upload was made for. What was not uploaded stays."""
        if path is None:
            return
        path = Path(path).resolve()
        with self._lock:
            if path not in self._users:
                return
            self._users[path] -= 1
            if self._num_arriving:
                self._unused.add(path)
            else:
                self._delete_if_unused(path)

    def _delete_if_unused(self, path: Path) -> None:
        if self._users[path] <= 0:
            del self._users[path]
            path.unlink(missing_ok=True)
            if path.parent != self.folder and not any(path.parent.iterdir()):
                path.parent.rmdir()

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Where to write a result within the block, to be fetched within `KEPT_SECONDS`."""
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        try:
            yield folder / name
        finally:
            if not (folder / name).is_file():
                shutil.rmtree(folder)

    def start_sweeping(self) -> None:
        """Delete, from now on, what nobody came back for: abandoned uploads, and results after `KEPT_SECONDS`."""

        def sweep_for_ever() -> None:
            while True:
                time.sleep(_SWEEP_EVERY_SECONDS)
                self.sweep(KEPT_SECONDS)

        threading.Thread(target=sweep_for_ever, name="sweep", daemon=True).start()

    def sweep(self, kept_seconds: float) -> None:
        """Delete all files older than this, and those of a time to come: the clock was put back since."""
        now = time.time()
        for path in sorted(self.folder.rglob("*"), reverse=True):  # files before their folders
            try:
                if abs(now - path.stat().st_mtime) < kept_seconds:
                    continue
                path.rmdir() if path.is_dir() else path.unlink()
            except OSError as error:  # a folder that is not empty, or a file that is gone already
                logger.debug("not swept: %s", error)
            with self._lock:
                self._users.pop(path, None)


class UploadGate:
    """Middleware that refuses uploads by their announced size, before a byte of them is read, and counts the others.

    Two routes of Gradio that this Space has no use for are closed: one fetches any address of the internet for the
    caller, one runs FFmpeg on whatever it is sent.
    """

    def __init__(self, app: ASGIApp, uploads: Uploads) -> None:
        self.app = app
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if path.endswith("/process_recording") or "/file=http" in path or "/proxy=" in path:
            await PlainTextResponse("Not found.", 404)(scope, receive, send)
        elif scope["method"] == "POST" and path.rstrip("/").endswith("/upload"):
            await self._upload(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.uploads.max_bytes + _ENVELOPE_BYTES:
            message = f"File size exceeded maximum allowed size of {self.uploads.max_bytes} bytes."
            await PlainTextResponse(message, 413, {"Connection": "close"})(scope, receive, send)
            return
        answer = _Answer(send)
        self.uploads.arriving()
        try:
            await self.app(scope, receive, answer)
        finally:
            self.uploads.arrived(answer.paths())


class _Answer:
    """Passes an answer on and keeps what it says."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
        await self._send(message)

    def paths(self) -> list[Path]:
        if self._status != 200:
            return []
        paths: list[Any] = json.loads(self._body)
        return [Path(path) for path in paths]
