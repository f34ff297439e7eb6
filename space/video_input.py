"""The input for videos: files that were uploaded or recorded here, and no links elsewhere."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

import gradio as gr

from limits import MAX_UPLOAD_BYTES, in_clock

_HEIGHT_PIXELS = 260
_OWN_FILE = "/gradio_api/file="


class UploadedVideo(gr.Video):
    """A video that the client has uploaded to this server.

    Gradio would fetch any address that stands in the place of a file, however much it sends. Here only the address of
    an upload is followed, which is what MCP clients pass, and not by fetching it.
    """

    is_template = True  # looks like the class it comes from

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        text = str(url_or_file_path)
        if text.startswith(("http://", "https://")):
            path = Path(urllib.parse.unquote(text.partition(_OWN_FILE)[2]))
            if not path.is_absolute() or not path.resolve().is_relative_to(Path(self.GRADIO_CACHE).resolve()):
                raise gr.Error("Links are not followed. Please upload the video itself.", print_exception=False)
            url_or_file_path = path
        return await super().async_move_resource_to_block_cache(url_or_file_path)


def video_input(label: str, max_seconds: float, **options: object) -> UploadedVideo:
    """An input whose label tells how long and how large a video may be; the server sees to it later."""
    return UploadedVideo(
        label=f"{label}: up to {in_clock(max_seconds)} min, {MAX_UPLOAD_BYTES // 2**20} MB",
        height=_HEIGHT_PIXELS,
        sources=["upload", "webcam"],
        include_audio=True,
        **options,
    )
