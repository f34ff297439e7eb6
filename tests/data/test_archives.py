from __future__ import annotations

import gzip
import http.server
import io
import lzma
import ssl
import sys
import tarfile
import threading
import urllib.error
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resnet_lstm.data.archives import ArchiveError, DownloadError, download, extract, open_ucf101

FILES = {"UCF-101/Biking/v_Biking_g01_c01.avi": b"first" * 1000, "UCF-101/Biking/v_Biking_g01_c02.avi": b"second"}
CONTENT = bytes(range(256)) * 20_000
COMPRESS: dict[str, Callable[[bytes], bytes]] = {".tar": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def make_archive(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        path.write_bytes(COMPRESS[path.suffix](buffer.getvalue()))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_files_are_extracted(tmp_path: Path, name: str) -> None:
    target = extract(make_archive(tmp_path / name, FILES), tmp_path / "out")
    assert {file: (target / file).read_bytes() for file in FILES} == FILES
    assert len([path for path in target.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_what_is_there_is_kept_and_what_is_incomplete_is_extracted_again(tmp_path: Path, name: str) -> None:
    target = extract(make_archive(tmp_path / name, FILES), tmp_path / "out")
    complete, incomplete = (target / file for file in FILES)
    complete.write_bytes(b"x" * complete.stat().st_size)
    incomplete.write_bytes(b"sec")
    extract(tmp_path / name, target)
    assert set(complete.read_bytes()) == {ord("x")}
    assert incomplete.read_bytes() == b"second"


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("member", ["../outside.avi", "UCF-101/../../outside.avi"])
def test_member_outside_the_target_is_refused(tmp_path: Path, name: str, member: str) -> None:
    archive = make_archive(tmp_path / name, {member: b"evil"})
    with pytest.raises(ArchiveError, match="Do not trust this archive"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "outside.avi").exists()


def test_absolute_member_of_a_zip_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.avi"
    archive = make_archive(tmp_path / "a.zip", {str(outside): b"evil"})
    with pytest.raises(ArchiveError, match="Do not trust this archive"):
        extract(archive, tmp_path / "out")
    assert not outside.exists()


def test_link_out_of_the_target_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("UCF-101")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("UCF-101/outside.avi"))
    with pytest.raises(ArchiveError, match="Do not trust this archive"):
        extract(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "outside.avi").exists()


def test_damaged_zip_is_an_error_and_leaves_no_part(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "a.zip", {"file.avi": bytes(range(256)) * 400})
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="Is the download complete"):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_truncated_archive_is_an_error_and_leaves_no_part(tmp_path: Path, name: str) -> None:
    archive = make_archive(tmp_path / name, {"file.avi": bytes(range(256)) * 400})
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ArchiveError, match="Is the download complete"):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_archive_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no files"):
        extract(make_archive(tmp_path / "a.zip", {}), tmp_path / "out")


def test_other_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>Not found</html>")
    with pytest.raises(ArchiveError, match="not a zip, tar or rar archive"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_rar_without_rarfile_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rarfile", None)
    (tmp_path / "UCF101.rar").write_bytes(b"Rar!")
    with pytest.raises(ArchiveError, match=r"pip install 'resnet-lstm\[rar\]'.*unrar, unar or bsdtar"):
        extract(tmp_path / "UCF101.rar", tmp_path / "out")


def test_archive_is_extracted_beside_itself_and_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    root = open_ucf101(make_archive(tmp_path / "UCF101.tar.gz", FILES))
    assert root == tmp_path / "UCF101"
    assert (root / next(iter(FILES))).is_file()
    assert open_ucf101(root) == root


class Site(http.server.BaseHTTPRequestHandler):
    """Serves `CONTENT`, by range if asked; the first answers break off after a third of it."""

    requests: list[str | None]
    interruptions: int
    honours_range = True

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.requests.append(wanted)
        if self.path != "/UCF101.rar":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.honours_range else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = len(CONTENT)
        if len(self.requests) <= self.interruptions:
            end = start + len(CONTENT) // 3
        self.wfile.write(CONTENT[start:end])

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def site() -> Iterator[tuple[str, type[Site]]]:
    handler = type("OneTestSite", (Site,), {"requests": [], "interruptions": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/UCF101.rar", handler
        server.shutdown()
        thread.join()


def test_broken_download_goes_on_where_it_stopped(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    url, handler = site
    handler.interruptions = 1
    target = download(url, tmp_path / "data" / "UCF101.rar", retry_seconds=0)
    assert target.read_bytes() == CONTENT
    assert handler.requests == [None, f"bytes={len(CONTENT) // 3}-"]
    assert [path.name for path in target.parent.iterdir()] == ["UCF101.rar"]


def test_later_call_goes_on_from_the_part(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    url, handler = site
    handler.interruptions = 1
    with pytest.raises(DownloadError, match=r"broke off 1 times.*Run again to go on from .*UCF101\.rar\.part"):
        download(url, tmp_path / "UCF101.rar", attempts=1)
    assert not (tmp_path / "UCF101.rar").exists()
    assert download(url, tmp_path / "UCF101.rar").read_bytes() == CONTENT
    assert handler.requests[1] == f"bytes={len(CONTENT) // 3}-"


def test_site_without_ranges_starts_anew(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    url, handler = site
    handler.honours_range = False
    (tmp_path / "UCF101.rar.part").write_bytes(b"what an earlier call received")
    assert download(url, tmp_path / "UCF101.rar").read_bytes() == CONTENT


def test_complete_part_is_taken_and_a_part_too_long_is_not(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    for part in (CONTENT, CONTENT + b"of another file"):
        (tmp_path / "UCF101.rar.part").write_bytes(part)
        assert download(site[0], tmp_path / "UCF101.rar", retry_seconds=0).read_bytes() == CONTENT


def test_refusal_of_the_site_is_an_error(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="the site answers 404"):
        download(site[0] + ".zip", tmp_path / "UCF101.zip")


def test_unverified_certificate_says_how_to_proceed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError(ssl.SSLCertVerificationError("unable to get local issuer certificate"))

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DownloadError, match=r"certificate cannot be verified.*Download the file with a browser"):
        download("https://www.crcv.ucf.edu/data/UCF101/UCF101.rar", tmp_path / "UCF101.rar")


def test_only_http_addresses_are_opened(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="must be an http or https address"):
        download("file:///etc/hostname", tmp_path / "file")
