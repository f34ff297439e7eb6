"""Pieces that several views are made of: HTML and SVG in the page's own colours, every text escaped."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from steps import Progress

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def in_words(label: str) -> str:
    """`ApplyEyeMakeup` -> `Apply eye makeup`, `green_to_red` -> `Green to red`; what has blanks stays as it is."""
    if " " in label:
        return label
    words = _WORD.findall(label) or [label]
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return text[:1].upper() + text[1:]


def percent(part: float) -> str:
    """`0.873` -> `87 %`; what is nearly certain is not called certain."""
    if 0.995 <= part < 1:
        return ">\N{NO-BREAK SPACE}99\N{NO-BREAK SPACE}%"
    if 0 < part < 0.005:
        return "<\N{NO-BREAK SPACE}1\N{NO-BREAK SPACE}%"
    return f"{100 * part:.0f}\N{NO-BREAK SPACE}%"


def signed(part: float) -> str:
    """`0.073` -> `+7`, in per cent; nothing is `+0` and never `-0`."""
    return f"{round(100 * part) + 0:+d}"


def data_uri(picture: np.ndarray, width: int, quality: int = 80) -> str:
    """A picture `[H, W, 3]` uint8 as a JPEG of at most this width, within the page."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((width, 4 * width), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def download_link(text: str, file_name: str, content: str | bytes, mime_type: str) -> str:
    """A link that holds the file itself, so that none has to be kept."""
    if isinstance(content, str):
        content, mime_type = content.encode(), f"{mime_type};charset=utf-8"
    address = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    return f'<a class="rl-download" download="{escape(file_name)}" href="{address}">{escape(text)}</a>'


def bars(scores: Sequence[tuple[str, float]], before: Sequence[float] | None = None) -> str:
    """Labels and their scores as bars, best first.

    Args:
        scores: Label and score, from 0 to 1.
        before: Where each bar comes from, if it shall move.
    """
    rows = []
    for row, (label, score) in enumerate(scores):
        start = "" if before is None else f"--from:{100 * before[row]:.1f}%;"
        rows.append(
            f'<li><span class="rl-label">{escape(in_words(label))}</span>'
            f'<span class="rl-bar" aria-hidden="true"><span style="{start}width:{100 * score:.1f}%"></span></span>'
            f'<span class="rl-value">{escape(percent(score))}</span></li>'
        )
    moving = "" if before is None else " rl-moving"
    return f'<ol class="rl-bars{moving}" aria-label="The likeliest actions">{"".join(rows)}</ol>'


def curve(
    lines: Sequence[tuple[str, Sequence[float]]],
    moments: Sequence[float],
    end: float,
    description: str,
    styles: Sequence[str] | None = None,
    ends: tuple[str, str] | None = None,
) -> str:
    """Scores over time as lines from the left edge to the right.

    Args:
        lines: Label and scores, one for each moment; the first is drawn strongest.
        moments: In seconds.
        end: Where the right edge is, in seconds.
        description: For who cannot see it.
        styles: CSS of each line, for colours of their own; by default the first has the accent, the others are dashed.
        ends: What stands below the left and the right edge; by default the seconds.
    """
    left, right = ends or ("0 s", f"{end:.1f} s")
    looks = [f'rl-line-{number}"' for number in range(len(lines))]
    if styles is not None:
        looks = [f'rl-line-own" style="{style}"' for style in styles]
    marks = "".join(
        f'<polyline class="rl-line {looks[number]} points="{" ".join(_points(scores, moments, end))}" />'
        for number, (_, scores) in reversed(list(enumerate(lines)))
    )
    grid = "".join(f'<line class="rl-grid" x1="0" x2="1000" y1="{y}" y2="{y}" />' for y in (0, 50, 100))
    names = "".join(
        f'<li><span class="rl-key {looks[number]} aria-hidden="true"></span>{escape(in_words(label))}</li>'
        for number, (label, _) in enumerate(lines)
    )
    return (
        f'<figure class="rl-curve"><div class="rl-plot"><span class="rl-scale" aria-hidden="true">'
        f"<span>100 %</span><span>50</span><span>0</span></span>"
        f'<svg viewBox="0 -4 1000 108" preserveAspectRatio="none" role="img" aria-label="{escape(description)}">'
        f"{grid}{marks}</svg></div>"
        f'<div class="rl-times" aria-hidden="true"><span>{escape(left)}</span><span>{escape(right)}</span></div>'
        f'<figcaption><ul class="rl-keys">{names}</ul></figcaption></figure>'
    )


def _points(scores: Sequence[float], moments: Sequence[float], end: float) -> Iterator[str]:
    for score, moment in zip(scores, moments, strict=True):
        yield f"{1000 * moment / max(end, 1e-6):.1f},{100 - 100 * score:.1f}"


def working(progress: Progress) -> str:
    """How far it is."""
    value = "" if progress.part is None else f' value="{progress.part:.3f}"'
    part = "" if progress.part is None else f" {100 * progress.part:.0f} %"
    return (
        f'<div class="rl-card rl-working" role="status"><p>{escape(progress.words)} …{part}</p>'
        f'<progress max="1"{value} aria-label="{escape(progress.words)}"></progress></div>'
    )


def refusal(message: str) -> str:
    """Why there is no answer."""
    return f'<div class="rl-card rl-refusal" role="alert"><p>{escape(message)}</p></div>'


def notice(message: str) -> str:
    """A quiet line."""
    return f'<p class="rl-notice" role="status">{escape(message)}</p>'
