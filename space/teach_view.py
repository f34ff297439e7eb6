"""What a visitor teaches -> what is shown of it: the clips, how well they are told apart, and what would help."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from teach_session import ClipToLearn, TeachSession
from view_parts import data_uri, in_words, notice

if TYPE_CHECKING:
    import numpy as np

    from resnet_lstm.evaluation import EvaluationReport

# So many pictures of a clip move in its thumbnail, each of this width.
NUM_PICTURES, PICTURE_WIDTH = 6, 96
EMPTY = notice(
    "Name an action, then drop or record clips of it: two at the least, five do well. Two actions make a beginning."
)


def thumbnail(frames: np.ndarray) -> str:
    """A few of a clip's frames `[T, H, W, 3]` side by side, of which the style sheet shows one after the other."""
    import numpy as np
    from PIL import Image, ImageOps

    chosen = frames[np.linspace(0, len(frames) - 1, NUM_PICTURES).round().astype(int)]
    size = (PICTURE_WIDTH, PICTURE_WIDTH)
    strip = np.concatenate([np.asarray(ImageOps.fit(Image.fromarray(frame), size)) for frame in chosen], axis=1)
    return data_uri(strip, NUM_PICTURES * PICTURE_WIDTH, 70)


def session_view(session: TeachSession) -> str:
    """The actions and their clips."""
    if not session.actions:
        return EMPTY
    cards = "".join(_action(name, clips) for name, clips in session.actions.items())
    return f'<ul class="rl-actions" aria-label="Your actions">{cards}</ul>'


def _action(name: str, clips: list[ClipToLearn]) -> str:
    pictures = "".join(
        f'<li><span class="rl-thumb" role="img" aria-label="{escape(clip.name)}" title="{escape(clip.name)}" '
        f"style=\"background-image:url('{clip.thumbnail}')\"></span></li>"
        for clip in clips
    )
    return (
        f'<li class="rl-action"><h3>{escape(in_words(name))} <span>{_clips(len(clips))}</span></h3>'
        f'<ul class="rl-thumbs" aria-label="Clips of {escape(name)}">{pictures}</ul></li>'
    )


def learned_view(report: EvaluationReport) -> str:
    """How well the clips are recognised when each is held out, and what would help."""
    rows = "".join(
        f"<tr><th>{escape(in_words(row.label))}</th>"
        f"<td>{round((row.recall or 0) * row.clips)} of {row.clips}</td></tr>"
        for row in report.metrics.per_class
        if row.clips
    )
    known = len(report.label_names)
    return f"""<article class="rl-card rl-learned"><div role="status"><p class="rl-kicker">Knows {known} actions</p>
<h2>{_recognised(report)} of {report.metrics.clips}</h2>
<p class="rl-remark">of your clips are recognised when each is held out and tried on what was learned from the
others.</p></div>
<div class="rl-table"><table><caption>Clips recognised, by action</caption>
<thead><tr><th>Action</th><th>Recognised</th></tr></thead><tbody>{rows}</tbody></table></div>
<p class="rl-notice">{escape(advice(report))}</p></article>"""


def advice(report: EvaluationReport) -> str:
    """What would help most, in words."""
    mixed = most_mixed_up(report)
    if mixed is None:
        return "None is mixed up with another. Try it below on a clip that it has not seen, best in another place."
    name, other, count = mixed
    name, other = in_words(name), in_words(other)
    return (
        f"“{name}” is taken for “{other}” in {_clips(count)}. Record two more of “{name}”, and two of “{other}”, "
        "from another side or in another place."
    )


def most_mixed_up(report: EvaluationReport) -> tuple[str, str, int] | None:
    """The action that is most often taken for another, the other, and in how many clips; None where none is."""
    import numpy as np

    counts = np.array(report.metrics.confusion_matrix)  # rows are true classes
    np.fill_diagonal(counts, 0)
    name, other = map(int, np.unravel_index(counts.argmax(), counts.shape))
    if not counts[name, other]:
        return None
    return report.label_names[name], report.label_names[other], int(counts[name, other])


def session_record(session: TeachSession) -> dict[str, Any]:
    """The session in plain values."""
    record: dict[str, Any] = {
        "actions": {name: [clip.name for clip in clips] for name, clips in session.actions.items()}
    }
    if session.taught is not None:
        report = session.taught.report
        mixed = most_mixed_up(report)
        record["learned"] = {
            "labels": list(report.label_names),
            "clips": report.metrics.clips,
            "recognised": _recognised(report),
            "mixed_up": None if mixed is None else {"action": mixed[0], "taken_for": mixed[1], "clips": mixed[2]},
        }
    return record


def _recognised(report: EvaluationReport) -> int:
    return round(report.metrics.top1 * report.metrics.clips)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
