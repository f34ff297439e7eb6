"""An answer as one picture to pass on: what it is, how sure, and the frames with their shares."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clip_view import TOP_K, answer_in_words
from view_parts import in_words, percent, signed

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    from look_session import ClipLook
    from resnet_lstm import ResNetLSTMConfig

# The colours of the page in light.
_PAPER, _INK, _QUIET, _RULE, _ACCENT = "#ffffff", "#1e293b", "#64748b", "#e2e8f0", "#6366f1"
_WIDTH, _MARGIN, _GAP = 1200, 48, 8
_COLUMNS = 8
_SHARE_HEIGHT = 56


def answer_card(look: ClipLook, config: ResNetLSTMConfig) -> bytes:
    """A PNG, as wide as previews of links are.

    Args:
        look: The clip and its answer.
        config: The model's.
    """
    from PIL import Image, ImageDraw

    prediction = look.answer.prediction
    picture_width = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
    picture_height = round(picture_width / look.aspect)
    rows = -(-len(prediction.frames) // _COLUMNS)
    row_height = picture_height + _SHARE_HEIGHT + 34
    top_of_frames = 320
    card = Image.new("RGB", (_WIDTH, top_of_frames + rows * row_height + 64), _PAPER)
    draw = ImageDraw.Draw(card)
    _write_answer(draw, look, config)
    shares = prediction.frame_shares()
    scale = max(float(abs(shares).max()), 1e-6)
    for index, (picture, share) in enumerate(zip(prediction.frames, shares, strict=True)):
        row, column = divmod(index, _COLUMNS)
        left, top = _MARGIN + column * (picture_width + _GAP), top_of_frames + row * row_height
        resized = Image.fromarray(picture).resize((picture_width, picture_height), Image.Resampling.LANCZOS)
        card.paste(resized, (left, top))
        bottom = top + picture_height + 4 + _SHARE_HEIGHT
        height = max(2, round(_SHARE_HEIGHT * abs(float(share)) / scale))
        right = left + picture_width
        draw.rectangle((left, bottom - height, right - 1, bottom), _ACCENT if share >= 0 else _RULE)
        draw.text((left + picture_width / 2, bottom + 4), signed(float(share)), _QUIET, _font(17), "ma")
    foot = f"{look.name}: every frame’s share in the decision, in per cent"
    draw.text((_MARGIN, card.height - 44), _shortened(foot, 20, _WIDTH - 2 * _MARGIN), _QUIET, _font(20))
    return _as_png(card)


def card_description(look: ClipLook, config: ResNetLSTMConfig) -> str:
    """What the picture shows, in a sentence."""
    kicker, answer, remark = answer_in_words(look.answer.prediction, config)
    return f"{kicker}: {answer}. {remark} Below are the frames of {look.name} with their shares in the decision."


def _write_answer(draw: ImageDraw.ImageDraw, look: ClipLook, config: ResNetLSTMConfig) -> None:
    prediction = look.answer.prediction
    kicker, answer, remark = answer_in_words(prediction, config)
    half = (_WIDTH - 3 * _MARGIN) // 2
    draw.text((_MARGIN, 52), kicker, _QUIET, _font(24))
    below = _write_in_lines(draw, (_MARGIN, 90), answer, range(64, 24, -2), half, _INK, bold=True)
    draw.text((_MARGIN, below + 18), _shortened(remark, 22, half), _QUIET, _font(22))
    left = 2 * _MARGIN + half
    for row, label in enumerate(prediction.top_k(TOP_K)):
        score, top = float(prediction.scores[label]), 52 + row * 46
        name, colour = in_words(config.id2label[label]), _INK if row == 0 else _QUIET
        _write_in_lines(draw, (left, top), name, (21, 17, 14), 230, colour)
        bar = (left + 245, top + 8, _WIDTH - _MARGIN - 90, top + 20)
        draw.rounded_rectangle(bar, 6, _RULE)
        if score >= 0.01:
            end = bar[0] + max(12, round(score * (bar[2] - bar[0])))
            draw.rounded_rectangle((bar[0], bar[1], end, bar[3]), 6, _ACCENT if row == 0 else _QUIET)
        draw.text((_WIDTH - _MARGIN, top), percent(score), colour, _font(21), "ra")


def _write_in_lines(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    sizes: Sequence[int],
    width: float,
    colour: str,
    *,
    bold: bool = False,
) -> int:
    """Write in the largest size in which it is one line of this width, or else two; the y below it."""
    wrapped = [(size, _in_lines(text, size, width, bold=bold)) for size in sizes]
    fitting = [
        (size, lines)
        for size, lines in wrapped
        if len(lines) <= 2 and all(_font(size, bold=bold).getlength(line) <= width for line in lines)
    ]
    in_one = [(size, lines) for size, lines in fitting if len(lines) == 1]
    size, lines = (in_one or fitting or wrapped[-1:])[0]
    left, top = place
    for line in lines[:2]:
        draw.text((left, top), _shortened(line, size, width, bold=bold), colour, _font(size, bold=bold))
        top += round(1.15 * size)
    return top


def _in_lines(text: str, size: int, width: float, *, bold: bool = False) -> list[str]:
    """As many words in each line as it has room for."""
    font, lines = _font(size, bold=bold), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _shortened(text: str, size: int, width: float, *, bold: bool = False) -> str:
    font = _font(size, bold=bold)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The one that matplotlib brings along: it has the letters of most alphabets, and is the same on every machine."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    font = Path(get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")
    return ImageFont.truetype(str(font), size)


def _as_png(card: Image.Image) -> bytes:
    file = io.BytesIO()
    card.save(file, "PNG", optimize=True)
    return file.getvalue()
