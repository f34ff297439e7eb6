"""The input for videos: files that were uploaded or recorded here, and no links elsewhere."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from limits import MAX_UPLOAD_BYTES, in_clock

_HEIGHT_PIXELS, _FILES_HEIGHT_PIXELS = 260, 130
_OWN_FILE = "/gradio_api/file="

Input = TypeVar("Input", gr.Video, gr.File)

# A script for the page. What a browser cannot play, such as .avi, is read here all the same: that the input cannot
# show it is no error of the user's. The event is stopped on its way down, since it never comes up again.
SILENT_PREVIEWS = """() => document.addEventListener("error", (event) => {
    const inputs = "#clip video, #video video, #teach-clip video, #teach-try video";
    if (event.target.closest?.(inputs)) event.stopImmediatePropagation();
}, true)"""


def video_input(label: str, max_seconds: float, **options: object) -> gr.Video:
    """An input whose label tells how long and how large a video may be; the server sees to it later."""
    video = gr.Video(
        label=f"{label}: up to {in_clock(max_seconds)} min, {MAX_UPLOAD_BYTES // 2**20} MB",
        height=_HEIGHT_PIXELS,
        sources=["upload", "webcam"],
        include_audio=True,
        **options,
    )
    return uploads_only(video)


def files_input(label: str, **options: Any) -> gr.File:
    """An input for files, given on as their paths; Gradio's own would leave an empty file behind for each."""
    files = gr.File(label=label, height=_FILES_HEIGHT_PIXELS, **options)

    def paths(payload: Any) -> Any:
        if payload is None:
            return None
        return [file.path for file in payload.root] if hasattr(payload, "root") else payload.path

    files.preprocess = paths
    return uploads_only(files)


def uploads_only(component: Input) -> Input:
    """An input that follows no link.

    Gradio would fetch any address that stands in the place of a file, however much it sends. Here only the address of
    an upload is followed, which is what MCP clients pass, and not by fetching it.
    """
    take = component.async_move_resource_to_block_cache

    async def take_upload(file: str | Path | None) -> str | None:
        return await take(_of_this_server(str(file), Path(component.GRADIO_CACHE)))

    # Not by a subclass: Gradio writes a stub file beside the source of each.
    component.async_move_resource_to_block_cache = take_upload
    return component


def _of_this_server(file: str, folder: Path) -> str:
    if not file.startswith(("http://", "https://")):
        return file
    path = Path(urllib.parse.unquote(file.partition(_OWN_FILE)[2]))
    if not path.is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise gr.Error("Links are not followed. Please upload the video itself.", print_exception=False)
    return str(path)
