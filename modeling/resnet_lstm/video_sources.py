"""Where a video is read from: a path, a URL, bytes or a file object; and what a file is that is no video."""

from __future__ import annotations

import http.client
import io
import os
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

VideoSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

_URL_TIMEOUT_SECONDS = 30
_URL_BYTES_IN_MEMORY = 64 * 2**20
_URL_MAX_BYTES = 4 * 2**30
_URL_MAX_SECONDS = 3600
_CHUNK_BYTES = 2**20


class VideoDecodingError(ValueError):
    """A video could not be read; the message names the file and the cause."""


def source_name(source: VideoSource) -> str:
    """What messages call a source: nothing in it is secret."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, str) and "://" in source:
        # The user name, password and query of a URL may hold a secret.
        return str(source).split("?", 1)[0].split("#", 1)[0].rpartition("@")[2]
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return str(getattr(source, "name", "<file object>"))


def is_url(source: VideoSource) -> bool:
    return isinstance(source, str) and source.startswith(("http://", "https://"))


@contextmanager
def readable(source: VideoSource, name: str) -> Iterator[str | BinaryIO]:
    """What PyAV can open: a path, or a binary file object that seeks."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif is_url(source):
        with _download(str(source), name) as file:
            yield file
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():
            raise VideoDecodingError(f"{name}: {'is a folder' if path.is_dir() else 'no such file'}.")
        # An absolute path: FFmpeg would take `concat:a.mp4` for a protocol.
        yield str(path.absolute())
    elif not hasattr(source, "read"):
        raise VideoDecodingError(f"{type(source).__name__}: give a path, a URL, bytes or a binary file object.")
    elif source.seekable():
        source.seek(0)
        yield source
    else:
        yield io.BytesIO(source.read())


@contextmanager
def _download(url: str, name: str) -> Iterator[BinaryIO]:
    with tempfile.SpooledTemporaryFile(max_size=_URL_BYTES_IN_MEMORY) as file:
        try:
            # Blanks and letters beyond ASCII are quoted, as a browser does.
            quoted = urllib.parse.quote(url, safe=":/?#[]@!$&'()*+,;=%~")
            request = urllib.request.Request(quoted, headers={"User-Agent": "resnet-lstm"})  # noqa: S310 - http(s)
            with _opener.open(request, timeout=_URL_TIMEOUT_SECONDS) as response:
                _copy_within_limits(response, cast(BinaryIO, file), name)
        except urllib.error.HTTPError as error:
            raise VideoDecodingError(f"{name}: the server answered {error.code} {error.reason}.") from None
        except urllib.error.URLError as error:
            raise VideoDecodingError(f"{name}: not downloaded ({error.reason}).") from None
        except VideoDecodingError:
            raise
        except (http.client.HTTPException, ValueError) as error:
            # Their messages may hold the whole URL.
            raise VideoDecodingError(f"{name}: not downloaded ({type(error).__name__}).") from None
        file.seek(0)
        yield cast(BinaryIO, file)


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https; urllib would go to ftp as well."""

    def redirect_request(self, *request: Any) -> urllib.request.Request | None:
        *_, new_url = request
        if not is_url(new_url):
            raise urllib.error.URLError("the server sends elsewhere than to http or https")
        return super().redirect_request(*request)


_opener = urllib.request.build_opener(_HttpOnly)


def _copy_within_limits(response: BinaryIO, file: BinaryIO, name: str) -> None:
    deadline = time.monotonic() + _URL_MAX_SECONDS
    num_bytes = 0
    while chunk := response.read(_CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > _URL_MAX_BYTES:
            raise VideoDecodingError(f"{name}: larger than the {_URL_MAX_BYTES / 2**30:g} GiB that are downloaded.")
        if time.monotonic() > deadline:
            raise VideoDecodingError(f"{name}: not downloaded within {_URL_MAX_SECONDS / 60:g} minutes.")
        file.write(chunk)


# What files are that are often named like a video: by how they begin, blanks, case and byte order mark apart.
_KINDS = {
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
    b"<!doctype html": "an HTML page, perhaps of a login",
    b"<html": "an HTML page, perhaps of a login",
    b"<?xml": "an XML document",
    b"{": "JSON",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89png": "a PNG picture",
    b"bm": "a BMP picture",
    b"ffconcat": "a playlist",
    b"#extm3u": "a playlist",
    b"%pdf-": "a PDF document",
    b"pk\x03\x04": "a ZIP archive",
    b"rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
}
_BYTES_THAT_TELL = 512


def kind_of(source: VideoSource) -> str | None:
    """What a source is that is no video, by its first bytes; None where they do not tell."""
    try:
        head = _first_bytes(source)
    except (OSError, ValueError):  # gone, or closed
        return None
    if head is None:
        return None
    if not head:
        return "an empty file"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start.strip(b"\0"):
        return "nothing but blanks or zeros at its beginning"
    for beginning, kind in _KINDS.items():
        if start.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture, which is not read, animated or not; save it as GIF, PNG or MP4"
    if start.isascii() and all(byte >= ord(" ") or byte in b"\t\r\n\f" for byte in start):
        return "text"
    return None


def _first_bytes(source: VideoSource) -> bytes | None:
    if isinstance(source, bytes):
        return source[:_BYTES_THAT_TELL]
    if isinstance(source, str | os.PathLike):
        if is_url(source):
            return None
        with Path(source).open("rb") as file:
            return file.read(_BYTES_THAT_TELL)
    if not source.seekable():
        return None
    source.seek(0)
    return source.read(_BYTES_THAT_TELL)
