"""The inputs for videos: files that were uploaded or recorded here."""

from __future__ import annotations

import gradio as gr

from limits import MAX_UPLOAD_BYTES, in_clock

_HEIGHT_PIXELS = 260

# A script for the page. What a browser cannot play, such as .avi, is read here all the same: that the input cannot
# show it is no error of the user's. The event is stopped on its way down, since it never comes up again.
SILENT_PREVIEWS = """() => document.addEventListener("error", (event) => {
    const inputs = "#clip video, #video video, #teach-clip video, #teach-try video";
    if (event.target.closest?.(inputs)) event.stopImmediatePropagation();
}, true)"""


def video_input(label: str, max_seconds: float, **options: object) -> gr.Video:
    """An input whose label tells how long and how large a video may be; the server sees to it later."""
    return gr.Video(
        label=f"{label}: up to {in_clock(max_seconds)} min, {MAX_UPLOAD_BYTES // 2**20} MB",
        height=_HEIGHT_PIXELS,
        sources=["upload", "webcam"],
        include_audio=True,
        **options,
    )
