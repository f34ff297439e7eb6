"""A video's timeline -> what is shown of it: its segments on a track below its pictures, and as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from view_parts import curve, data_uri, download_link, in_words, percent

if TYPE_CHECKING:
    from resnet_lstm.inference import Segment, Timeline

_MAX_THUMBNAILS = 12
_MAX_CURVES = 3
_HEADER = "".join(f'<th scope="col">{title}</th>' for title in ("Action", "From", "To", "Score"))
_NONE_IN_WORDS = "None of my actions"
# Hues that lie far apart, one after the other; lightness and strength are the style sheet's.
_HUES = (265, 25, 145, 60, 325, 205, 100, 0)


def timeline_view(timeline: Timeline, name: str) -> str:
    """The HTML of a timeline.

    Args:
        timeline: Of one video.
        name: What the video is called.
    """
    hues = _hues(timeline)
    stem = Path(name).stem
    links = download_link("CSV", f"{stem}.csv", _csv(timeline), "text/csv")
    links += download_link(
        "JSON", f"{stem}.json", json.dumps(timeline.to_dict(), ensure_ascii=False), "application/json"
    )
    return f"""<article class="rl-card rl-timeline" aria-label="What happens in {escape(name)}">
<div role="status"><p class="rl-kicker">{escape(name)}, {in_clock_tenths(timeline.total_seconds)}</p>
<h2>{escape(_in_a_sentence(timeline))}</h2>{_damage(timeline)}</div>
<div class="rl-pictures" aria-hidden="true">{_pictures(timeline)}</div>
<ol class="rl-track" aria-label="Segments">{"".join(_block(s, timeline, hues) for s in timeline.segments)}</ol>
{_curve(timeline, hues)}
<div class="rl-table"><table><caption>Segments</caption><thead><tr>{_HEADER}</tr></thead>
<tbody>{"".join(_row(s, hues) for s in timeline.segments)}</tbody></table></div>
<p class="rl-downloads">Download the table: {links}</p></article>"""


def _damage(timeline: Timeline) -> str:
    return f'<p class="rl-remark">{escape(str(timeline.damage))}</p>' if timeline.damage else ""


def in_clock_tenths(seconds: float) -> str:
    """`75.3` -> `1:15.3`."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _words(segment: Segment) -> str:
    return _NONE_IN_WORDS if segment.label is None else in_words(segment.label)


def _in_a_sentence(timeline: Timeline) -> str:
    names: list[str] = []
    for segment in timeline.segments:
        if segment.label is not None and _words(segment) not in names:
            names.append(_words(segment))
    if not names:
        return _NONE_IN_WORDS
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join([names[0], *(name[:1].lower() + name[1:] for name in names[1:3])]) + more


def _hues(timeline: Timeline) -> dict[str, int]:
    labels = list(dict.fromkeys(s.label for s in timeline.segments if s.label is not None))
    return {label: _HUES[index % len(_HUES)] for index, label in enumerate(labels)}


def _colour(segment: Segment, hues: Mapping[str, int]) -> tuple[str, str]:
    """The class and the style of a segment's colour."""
    return ("rl-none", "") if segment.label is None else ("rl-some", f"--hue:{hues[segment.label]};")


def _pictures(timeline: Timeline) -> str:
    every = max(1, -(-len(timeline.thumbnails) // _MAX_THUMBNAILS))
    return "".join(f'<img src="{data_uri(t.picture, 160, 72)}" alt="">' for t in timeline.thumbnails[::every])


def _block(segment: Segment, timeline: Timeline, hues: Mapping[str, int]) -> str:
    seconds = segment.end_seconds - segment.start_seconds
    span = f"{in_clock_tenths(segment.start_seconds)} to {in_clock_tenths(segment.end_seconds)}"
    spoken = f"{_words(segment)}, {span}" + ("" if segment.label is None else f", score {percent(segment.score)}")
    kind, style = _colour(segment, hues)
    return (
        f'<li class="{kind}" style="{style}flex-grow:{seconds / timeline.total_seconds:.4f}" tabindex="0" '
        f'aria-label="{escape(spoken)}"><span aria-hidden="true">{escape(_words(segment))}</span>'
        f'<span class="rl-tip" aria-hidden="true">{escape(spoken)}</span></li>'
    )


def _row(segment: Segment, hues: Mapping[str, int]) -> str:
    kind, style = _colour(segment, hues)
    swatch = f'<span class="rl-swatch {kind}" style="{style}" aria-hidden="true"></span>'
    score = "–" if segment.label is None else percent(segment.score)
    cells = (in_clock_tenths(segment.start_seconds), in_clock_tenths(segment.end_seconds), score)
    columns = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{swatch}{escape(_words(segment))}</th>{columns}</tr>'


def _curve(timeline: Timeline, hues: Mapping[str, int]) -> str:
    lasting: dict[str, float] = {}
    for segment in timeline.segments:
        if segment.label is not None:
            lasting[segment.label] = lasting.get(segment.label, 0) + segment.end_seconds - segment.start_seconds
    shown = sorted(lasting, key=lambda label: -lasting[label])[:_MAX_CURVES]
    if not shown:
        return ""
    lines = [(label, timeline.scores[:, timeline.label_names.index(label)].tolist()) for label in shown]
    description = f"The scores of {', '.join(in_words(label) for label in shown)} over the video."
    colours = [f"--hue:{hues[label]}" for label in shown]
    return curve(lines, timeline.seconds.tolist(), timeline.total_seconds, description, colours)


def _csv(timeline: Timeline) -> str:
    from resnet_lstm.plain_text import csv_cell

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["action", "start", "end", "score"])
    for row in timeline.to_dict()["segments"]:
        writer.writerow([csv_cell(row["label"] or ""), row["start"], row["end"], row["score"]])
    return file.getvalue()
