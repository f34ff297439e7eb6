"""A prediction as a notebook shows it: the best answers, and the frames with their shares in the first."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

_THUMBNAIL_PIXELS = 96


def answers_and_frames(
    title: str,
    answers: Sequence[tuple[str, float]],
    frames: np.ndarray,
    shares: np.ndarray,
    seconds: np.ndarray,
    note: str = "",
) -> str:
    """HTML that stands alone: no script, no style sheet, nothing that is fetched.

    Args:
        title: What the clip is called.
        answers: Labels and their scores from 0 to 1, best first.
        frames: `[T, H, W, 3]` uint8.
        shares: `[T]`, each frame's share in the first answer, summing to 1.
        seconds: `[T]`, when each is shown.
        note: A sentence below the answers.
    """
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(label)}</td><td>{100 * score:.1f} %</td>'
        f'<td style="width:12em"><div style="width:{100 * score:.1f}%;height:.7em;background:#6366f1"></div></td></tr>'
        for label, score in answers
    )
    pictures = "".join(
        f'<figure style="display:inline-block;margin:2px;text-align:center;font-size:.75em">'
        f'<img alt="" src="{_thumbnail(frame)}">'
        f"<figcaption>{second:.1f} s<br>{100 * share:+.0f} %</figcaption></figure>"
        for frame, second, share in zip(frames, seconds, shares, strict=True)
    )
    below = f"<p>{escape(note)}</p>" if note else ""
    return (
        f"<div><strong>{escape(title)}</strong><table>{rows}</table>{below}"
        f"<div>Each frame's share in <em>{escape(answers[0][0])}</em>:</div>{pictures}</div>"
    )


def _thumbnail(frame: np.ndarray) -> str:
    picture = Image.fromarray(frame)
    picture.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
