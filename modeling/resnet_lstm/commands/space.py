"""Show a model in the browser: clips, long videos and the webcam, each also as an endpoint.

    resnet-lstm space runs/ucf101-25
    resnet-lstm space user/model --mcp
    resnet-lstm space runs/ucf101-25 --runtime openvino --int8 --port 8080

Needs the extra "space": pip install 'resnet-lstm[space]'. Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from importlib.util import find_spec

from ..publishing import space_folder
from .parser import CommandParser
from .shared_options import add_computing_options, add_model


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("space", "MODEL", __doc__)
    add_model(parser)
    server = parser.add_argument_group("server")
    server.add_argument("--port", type=int, metavar="N", help="default: the first free one from 7860")
    server.add_argument("--mcp", action="store_true", help="also serve the endpoints as tools of an MCP server")
    add_computing_options(parser, "--runtime", "--int8")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    return make_parser().parse_args(arguments)


def run(args: argparse.Namespace) -> int:
    """Serve until the process is ended.

    Raises:
        ImportError: Gradio is not installed.
    """
    if find_spec("gradio") is None:
        raise ImportError("The Space needs Gradio: pip install 'resnet-lstm[space]'.")
    folder = space_folder()
    # As on the Hub: its files find one another because they are beside the one that is run.
    sys.path.insert(0, str(folder))
    options = ["--model", args.model, "--runtime", args.runtime]
    options += ["--int8"] * args.int8 + ["--mcp"] * args.mcp
    options += [] if args.port is None else ["--port", str(args.port)]
    return int(runpy.run_path(str(folder / "app.py"))["main"](options))
