"""Gradio's handling of files, as it is changed for the Space."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from anyio.from_thread import start_blocking_portal
from gradio.blocks import Block
from gradio.data_classes import FileData, ListFiles

from gradio_mends import mend_gradio


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((Block, "async_move_resource_to_block_cache"), (gr.File, "preprocess")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # so that it is put back in the end
    mend_gradio()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    return path


def made_anew(component: Block, folder: Path) -> Block:
    """As Gradio makes it for a session once it is updated."""
    made = type(component)(**component.constructor_args)
    made.GRADIO_CACHE = str(folder)
    return made


@pytest.mark.parametrize("component", [gr.Video, gr.File, gr.Image])
def test_no_component_follows_a_link(component: type[Block], upload: Path) -> None:
    take = made_anew(component(), upload.parent).async_move_resource_to_block_cache
    with start_blocking_portal() as portal:  # a thread's: a browser's test has left a loop in this one
        for link in ("http://127.0.0.1:9/clip.mp4", "https://127.0.0.1/gradio_api/file=/etc/hostname"):
            with pytest.raises(gr.Error, match="Links are not followed"):
                portal.call(take, link)
        assert portal.call(take, f"http://127.0.0.1:7860/gradio_api/file={upload}") == str(upload)


def test_files_are_given_on_and_no_other_is_made(upload: Path) -> None:
    given = FileData(path=str(upload))
    one = made_anew(gr.File(), upload.parent)
    several = made_anew(gr.File(file_count="multiple"), upload.parent)
    assert one.preprocess(None) is None
    assert one.preprocess(given) == str(upload)
    assert several.preprocess(ListFiles(root=[given, given])) == [str(upload)] * 2
    assert list(upload.parent.iterdir()) == [upload]
