"""The scripts and styles of the page as Gradio was installed with them: compressed once, not for each visitor anew."""

from __future__ import annotations

import re

from gradio.brotli_middleware import BrotliMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A hash of what such a file holds is in its name, so that a browser need never ask for it again.
_HASHED = re.compile(r"(?:/[\w-]+)*/assets/[\w.-]+-[\w-]{8,9}\.(?:js|css)")
_FOR_GOOD = "public, max-age=31536000, immutable"
# Of 0 to 11: a tenth smaller than Gradio's, and still made in a tenth of a second.
_QUALITY = 9


class BuiltFiles:
    """Middleware that keeps these files in memory as they were sent first. There are as many as are installed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._compressed = BrotliMiddleware(app, quality=_QUALITY)
        self._kept: dict[str, list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_wanted_whole(scope):
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        kept = self._kept.get(path)
        if kept is None:
            kept = await self._answer(scope, receive)
            if kept[0]["status"] == 200:
                self._kept[path] = kept
        for message in kept:
            # A copy: who passes a message on may change it.
            await send(dict(message))

    async def _answer(self, scope: Scope, receive: Receive) -> list[Message]:
        start: Message = {}
        body = b""

        async def take(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")

        await self._compressed(scope, receive, take)
        headers = MutableHeaders(raw=start["headers"])
        headers["Content-Length"] = str(len(body))
        if start["status"] == 200:
            headers["Cache-Control"] = _FOR_GOOD
        return [start, {"type": "http.response.body", "body": body}]


def _is_wanted_whole(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    compressed = "br" in headers.get("accept-encoding", "") and "range" not in headers
    return compressed and _HASHED.fullmatch(scope["path"]) is not None
