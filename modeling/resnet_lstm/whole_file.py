"""Files that appear whole or not at all, and directories that one process at a time writes."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


# Machines may share a folder, and each can tell only of its own processes whether they still run.
_MACHINE = re.sub(r"\W", "-", platform.node()) or "machine"


class InUseError(ValueError):
    """Another process is writing a directory."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends without an error.

    A reader never meets half a file, and an error or a kill leaves the old one. Processes may write the same file;
    what one left of it that was killed is removed. Whoever writes it, the file has the mode that the umask gives:
    safetensors would let only its user read it.
    """
    _remove_what_was_left(path)
    temporary = path.with_name(f".{path.name}.{_MACHINE}.{os.getpid()}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        temporary.unlink()
        with named_in_errors(path):
            yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Say which file an `OSError` is about that does not, as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_texts(directory: Path, texts: Mapping[str, str]) -> None:
    """Write text files by name into a folder, which is made where it is missing; each appears whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with written_whole(directory / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep other processes that hold it too out of a directory; when this one ends, however it does, it is free.

    Windows and some network file systems know no such locks: there nothing is kept out.

    Raises:
        InUseError: Another process holds it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(
                f"{directory}: another process is writing it. Wait until it has ended, or choose another place."
            ) from None
        except OSError:  # a file system without locks
            pass
        if not _is_at(descriptor, directory):
            raise InUseError(f"{directory}: another process has just replaced it. Try again.")
        yield
    finally:
        _release(descriptor)


@contextmanager
def leased(path: Path) -> Iterator[bool]:
    """Whether this process alone may make a file; when it ends, however it does, another one may.

    Windows and some network file systems know no such locks: there each may, which costs time but no more, since the
    file appears whole (`written_whole`).
    """
    lease = path.with_name(f".{path.name}.lease")
    if fcntl is None:
        yield True
        return
    descriptor = os.open(lease, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks
            pass
        yield True
        lease.unlink(missing_ok=True)
    finally:
        _release(descriptor)


def _release(descriptor: int) -> None:
    # To close it is not enough where a process that was forked meanwhile has inherited it.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _is_at(descriptor: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), directory.stat())
    except FileNotFoundError:
        return False


def _remove_what_was_left(path: Path) -> None:
    """Remove the temporary files of `path` whose process has ended."""
    if os.name != "posix":  # elsewhere signal 0 is a signal
        return
    start = f".{path.name}.{_MACHINE}."
    for other in path.parent.iterdir():
        process = other.name.removeprefix(start)
        if process != other.name and process.isdecimal() and not _lives(int(process)):
            other.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
