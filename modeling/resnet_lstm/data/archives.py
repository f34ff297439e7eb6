"""UCF-101's archives: download, resumed where it broke off, and extraction that writes nothing outside its folder."""

from __future__ import annotations

import http.client
import importlib
import logging
import lzma
import shutil
import ssl
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from .ucf101 import CLIPS_FOLDER, LISTS_FOLDER
from .video_folder import DatasetError

logger = logging.getLogger(__name__)

CLIPS_URL = "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar"
LISTS_URL = "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip"

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60
# Videos are compressed already; lists of names are small.
_MOST_TIMES_LARGER = 20
_ANY_ARCHIVE_MAY_HOLD_BYTES = 64 * 2**20


class ArchiveError(DatasetError):
    """An archive cannot be extracted."""


class DownloadError(DatasetError):
    """A file cannot be downloaded."""


class _Member(NamedTuple):
    name: str
    num_bytes: int
    open: Callable[[], IO[bytes]]


def open_ucf101(root_or_archive: str | Path) -> Path:
    """The root folder of UCF-101; an archive is extracted beside itself first, into a folder of its own name.

    Raises:
        ArchiveError: The archive cannot be extracted.
    """
    path = Path(root_or_archive)
    if not path.is_file():
        return path
    return extract(path, path.with_name(path.name.split(".")[0]))


def download_ucf101(root: str | Path) -> Path:
    """Download the clips (6.5 GB) and the official lists into `root`, and extract them there.

    What is there already is not downloaded or extracted again, and an archive may be deleted once it is extracted.

    Returns:
        `root`.

    Raises:
        DownloadError: The site cannot be reached, or does not send the whole file.
        ArchiveError: An archive cannot be extracted.
    """
    root = Path(root)
    require_rarfile()
    for url, folder in ((LISTS_URL, LISTS_FOLDER), (CLIPS_URL, CLIPS_FOLDER)):
        archive = root / url.rsplit("/", 1)[1]
        if not archive.is_file():
            if (root / folder).is_dir():
                continue
            download(url, archive)
        extract(archive, root)
        if not (root / folder).is_dir():
            raise ArchiveError(f"{archive}: holds no folder {folder}/. Delete the file and download it again.")
    return root


def download(url: str, target: str | Path, *, attempts: int = 5, retry_seconds: float = 2.0) -> Path:
    """Download a file, going on from `<target>.part` if an earlier download broke off.

    Args:
        url: An http or https address.
        target: Where the file goes; it appears there only when it is complete.
        attempts: How often to try in all.
        retry_seconds: Pause between attempts.

    Returns:
        `target`.

    Raises:
        DownloadError: The site's certificate cannot be verified, the site refuses, or the last attempt broke off too.
    """
    target = Path(target)
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, attempts + 1):
        try:
            _continue_download(url, part)
        except urllib.error.HTTPError as error:
            raise DownloadError(
                f"{url}: the site answers {error.code} {error.reason}. Is the address right?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                raise DownloadError(_certificate_advice(url, error)) from error
            if attempt == attempts:
                raise DownloadError(
                    f"{url}: broke off {attempts} times, last with: {error}. Run again to go on from {part}."
                ) from error
            logger.warning("%s: broke off (%s); attempt %d of %d follows", url, error, attempt + 1, attempts)
            time.sleep(retry_seconds)
        else:
            part.replace(target)
            return target
    raise DownloadError(f"attempts={attempts}: must be at least 1.")


def extract(archive: str | Path, target: str | Path) -> Path:
    """Extract a zip, tar (plain, gz, bz2, xz) or rar archive.

    A file that is there with the right size is not extracted again, so an interrupted extraction goes on where it
    stopped. Links and devices in an archive are passed over.

    Args:
        archive: The archive.
        target: The folder to extract into.

    Returns:
        `target`.

    Raises:
        ArchiveError: The archive is damaged, of another kind, names a file outside `target`, holds far more than its
            size lets expect, or is a rar archive and what extracts those is not installed.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise ArchiveError(f"{archive}: no such file.")
    damage_errors = _damage_errors(archive)
    num_files = 0
    target.mkdir(parents=True, exist_ok=True)
    most_bytes = max(_MOST_TIMES_LARGER * archive.stat().st_size, _ANY_ARCHIVE_MAY_HOLD_BYTES)
    num_bytes = 0
    try:
        with tqdm(desc=f"Extracting {archive.name}", unit="B", unit_scale=True) as progress:
            for member in _members(archive, target):
                num_bytes += member.num_bytes
                if num_bytes > most_bytes:
                    raise ArchiveError(
                        f"{archive}: would be more than {_MOST_TIMES_LARGER} times as large when extracted, which no "
                        "archive of videos is. Do not trust it."
                    )
                path = _safe_path(target, member.name, archive)
                if not path.is_file() or path.stat().st_size != member.num_bytes:
                    _extract_member(member, path, archive)
                progress.update(member.num_bytes)
                num_files += 1
    except tarfile.FilterError as error:
        raise ArchiveError(f"{archive}: {error}. Do not trust this archive.") from error
    except damage_errors as error:
        hint = " Is one of unrar, unar or bsdtar on the PATH?" if archive.suffix.lower() == ".rar" else ""
        raise ArchiveError(f"{archive}: {error or type(error).__name__}. Is the download complete?{hint}") from error
    if num_files == 0:
        raise ArchiveError(f"{archive}: holds no files. Is the download complete?")
    return target


def require_rarfile() -> Any:
    """The optional module `rarfile`.

    Raises:
        ArchiveError: It is not installed.
    """
    try:
        return importlib.import_module("rarfile")
    except ImportError as error:
        raise ArchiveError(
            "rar archives need the package rarfile (pip install 'resnet-lstm[rar]') and one of the programs unrar, "
            "unar or bsdtar on the PATH. Or extract the archive by hand and pass the folder."
        ) from error


def _members(archive: Path, target: Path) -> Iterator[_Member]:
    if archive.suffix.lower() == ".rar":
        return _rar_members(archive)
    if zipfile.is_zipfile(archive):
        return _zip_members(archive)
    if tarfile.is_tarfile(archive):
        return _tar_members(archive, target)
    raise ArchiveError(f"{archive}: not a zip, tar or rar archive. Is the download complete?")


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if not info.is_dir():
                yield _Member(info.filename, info.file_size, partial(file.open, info))


def _tar_members(archive: Path, target: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as file:
        for info in file:
            checked = tarfile.data_filter(info, str(target))
            if checked.isfile():
                # extractfile returns None only for what is no regular file.
                yield _Member(checked.name, checked.size, partial(file.extractfile, info))  # type: ignore[arg-type]


def _rar_members(archive: Path) -> Iterator[_Member]:
    with require_rarfile().RarFile(archive) as file:
        if file.is_solid():
            logger.warning("%s: a solid archive, slow to extract file by file; `unrar x` is faster", archive)
        for info in file.infolist():
            if info.is_file():
                yield _Member(info.filename, info.file_size, partial(file.open, info))


def _damage_errors(archive: Path) -> tuple[type[Exception], ...]:
    """What the standard library and, for a rar archive, rarfile raise when an archive cannot be read."""
    errors = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
    return (*errors, require_rarfile().Error) if archive.suffix.lower() == ".rar" else errors


def _safe_path(target: Path, name: str, archive: Path) -> Path:
    root = target.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or path == root:
        raise ArchiveError(
            f"{archive}: names the file {name!r}, which is outside {target}. Do not trust this archive."
        )
    return path


def _extract_member(member: _Member, path: Path, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with member.open() as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
        if part.stat().st_size != member.num_bytes:
            raise ArchiveError(f"{archive}: {member.name} is cut short. Is the download complete?")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _continue_download(url: str, part: Path) -> None:
    """Append to `part` what it still lacks.

    Raises:
        OSError: The connection failed or ended too early.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: must be an http or https address.")
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - the scheme is checked above
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing lies beyond `start`: the part is complete, or it belongs to another version of the file.
        if error.headers.get("Content-Range") != f"bytes */{start}":
            part.unlink()
            raise ConnectionError("the partial file does not fit the site's; starting anew") from error
        return
    with response:
        if response.status != 206:
            start = 0
        remaining = response.headers.get("Content-Length")
        total = None if remaining is None else start + int(remaining)
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True) as progress,
        ):
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                progress.update(len(chunk))
    received = part.stat().st_size
    if total is not None and received != total:
        raise ConnectionError(f"received {received} of {total} bytes")


def _certificate_advice(url: str, error: Exception) -> str:
    return (
        f"{url}: the site's certificate cannot be verified ({error}). The site is known to leave out a part of its "
        "certificate chain that browsers fill in. Download the file with a browser and pass it (--ucf101 UCF101.rar), "
        "or set SSL_CERT_FILE to a bundle that has the missing certificate. Checking is never switched off."
    )
