"""The whole page: its tabs, its endpoints, its looks, and how it is served."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from about_view import about_view, actions_to_try_view, known_actions_view
from built_files import BuiltFiles
from classify_tab import ClassifyTab
from engine import Engine
from gradio_mends import mend_gradio
from limits import MAX_MODEL_BYTES
from live_tab import LiveTab
from page_sessions import forget_page, start_forgetting
from teach_tab import TeachTab
from timeline_tab import TimelineTab
from uploads import UploadGate, Uploads
from wiring import PAGE_ONLY, html

DEFAULT_MODEL = "resnet-lstm/resnet50-lstm-ucf101-25"
TITLE = "What happens in this video?"
STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("style.css", "page.js"))
# So many requests wait at most; the next is asked to come back later.
QUEUE_SIZE = 24
HERO = f"""<header class="rl-hero"><h1>{TITLE}</h1><p>Drop a clip. A ResNet-50 looks at its frames, an LSTM reads them
in order, and every frame’s share in the answer is shown.</p></header>"""


def build_page(engine: Engine, uploads: Uploads, examples: Path) -> gr.Blocks:
    """The page and its endpoints.

    Args:
        engine: Holds the model, which need not be loaded yet.
        uploads: The folder of uploads.
        examples: Where generated examples are kept.
    """

    def about() -> tuple[str, str]:
        """Give the model's figures, as HTML, and its limits, as Markdown."""
        return about_view(engine.name)

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        html(HERO)
        page.load(lambda: known_actions_view(engine.name), None, html(), **PAGE_ONLY)
        with gr.Tab("Classify"):
            classify = ClassifyTab(engine, uploads, examples)
            classify.build()
            page.load(lambda: actions_to_try_view(engine.name), None, classify.words, **PAGE_ONLY)
        with gr.Tab("Timeline"):
            TimelineTab(engine, uploads, examples).build()
        with gr.Tab("Live"):
            LiveTab(engine, uploads).build()
        if engine.can_be_taught:
            with gr.Tab("Teach"):
                TeachTab(engine, uploads).build()
        with gr.Tab("About") as tab:
            tab.select(about, None, [html(), gr.Markdown(elem_classes="rl-limits")], api_name="about")
        page.unload(_forget)
    return page


def _forget(request: gr.Request) -> None:
    forget_page(request.session_hash)


def theme() -> gr.themes.Base:
    """One accent colour, and the system's own letters: nothing is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # What is quiet can be read all the same: 4.5:1 at the least.
        body_text_color_subdued="*neutral_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


def parse_arguments(description: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line says, or the variables of the environment where it says nothing."""
    env = os.environ
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default=env.get("RESNET_LSTM_MODEL", DEFAULT_MODEL), help="directory or Hub id (%(default)s)")
    add("--runtime", default=env.get("RESNET_LSTM_RUNTIME", "torch"), help="torch, openvino or onnx (%(default)s)")
    add("--int8", action="store_true", default=bool(env.get("RESNET_LSTM_INT8")), help="use 8-bit integers")
    add("--mcp", action="store_true", help="also serve the endpoints as tools of an MCP server")
    add("--port", type=int, help="default: GRADIO_SERVER_PORT, or the first free one from 7860")
    return parser.parse_args(arguments)


def serve(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted; the exit status, 2 where there is no such model or runtime."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    engine = Engine(args.model, runtime=args.runtime, int8=args.int8)
    try:
        engine.check()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is deleted
    with tempfile.TemporaryDirectory(prefix="resnet-lstm-space-", ignore_cleanup_errors=True) as folder:
        files = Path(folder) / "files"
        os.environ["GRADIO_TEMP_DIR"] = str(files)
        uploads = Uploads(files, MAX_MODEL_BYTES)
        uploads.start_sweeping()
        start_forgetting()
        mend_gradio()
        engine.start_loading()
        page = build_page(engine, uploads, Path(folder) / "examples")
        page.queue(max_size=QUEUE_SIZE).launch(
            server_port=args.port,
            max_file_size=MAX_MODEL_BYTES,
            mcp_server=args.mcp,
            theme=theme(),
            css_paths=STYLE,
            js=SCRIPT.read_text("utf-8"),
            ssr_mode=False,
            run_history=False,
            footer_links=["api"],
            app_kwargs={"middleware": [Middleware(BuiltFiles), Middleware(UploadGate, uploads=uploads)]},
        )
    return 0
