"""The inputs for videos: files that were uploaded or recorded here."""

from __future__ import annotations

import gradio as gr

from limits import MAX_UPLOAD_BYTES, in_clock

_HEIGHT_PIXELS = 260


def video_input(label: str, max_seconds: float, **options: object) -> gr.Video:
    """An input whose label tells how long and how large a video may be; the server sees to it later."""
    return gr.Video(
        label=f"{label}: up to {in_clock(max_seconds)} min, {MAX_UPLOAD_BYTES // 2**20} MB",
        height=_HEIGHT_PIXELS,
        sources=["upload", "webcam"],
        include_audio=True,
        **options,
    )
