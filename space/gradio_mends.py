"""What Gradio does with the files that a page sends, changed for the whole process.

For a session Gradio makes a component anew as soon as it is updated, so what is hung on one component would be lost.
"""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import gradio as gr

_OWN_FILE = "/gradio_api/file="


def mend_gradio() -> None:
    """Let no component fetch an address in the place of a file, and none leave empty files behind."""
    _follow_no_links()
    gr.File.preprocess = _paths


def _follow_no_links() -> None:
    # Gradio would fetch any address, however much it sends. Only the address of an upload is followed, which is what
    # MCP clients pass, and not by fetching it.
    take = gr.blocks.Block.async_move_resource_to_block_cache

    async def take_upload(block: Any, file: str | Path | None) -> str | None:
        return await take(block, None if file is None else _of_this_server(str(file), Path(block.GRADIO_CACHE)))

    gr.blocks.Block.async_move_resource_to_block_cache = take_upload


def _of_this_server(file: str, folder: Path) -> str:
    if not file.startswith(("http://", "https://")):
        return file
    path = Path(urllib.parse.unquote(file.partition(_OWN_FILE)[2]))
    if not path.is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise gr.Error("Links are not followed. Please upload the video itself.", print_exception=False)
    return str(path)


def _paths(component: gr.File, payload: Any) -> list[str] | str | None:
    """The paths of uploaded files. Gradio's own gives them too, and makes an empty file for each."""
    if payload is None:
        return None
    if component.file_count == "single":
        return str((payload if hasattr(payload, "path") else payload[0]).path)
    return [file.path for file in ([payload] if hasattr(payload, "path") else payload)]
