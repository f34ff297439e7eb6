"""A clip's prediction -> what is shown of it: the answer, the frames with their shares, and how it came about."""

from __future__ import annotations

import secrets
from html import escape
from typing import TYPE_CHECKING, Any

from view_parts import bars, curve, data_uri, in_words, percent, signed

if TYPE_CHECKING:
    import numpy as np

    from resnet_lstm import ResNetLSTMConfig
    from resnet_lstm.inference import ClipPrediction

TOP_K = 5
_UNSURE_BELOW = 0.5
_LEAST_SAID = 0.01
_MAX_CURVES = 3
_PICTURE_WIDTH, _THUMBNAIL_WIDTH = 480, 112


def clip_record(prediction: ClipPrediction, config: ResNetLSTMConfig) -> dict[str, Any]:
    """A prediction in plain values, the same figures as those of `resnet-lstm predict`."""
    scores, shares = prediction.scores, prediction.frame_shares()
    known = prediction.known_score
    return {
        "known": None if known is None else round(known, 6),
        "none_of_my_actions": prediction.is_unknown(config),
        "damaged_frames": prediction.damage.num_damaged,
        "total_frames": prediction.damage.num_frames,
        "top": [
            {"label": config.id2label[label], "score": round(float(scores[label]), 6)}
            for label in prediction.top_k(TOP_K)
        ],
        "frames": [
            {"seconds": round(float(second), 3), "share": round(float(share), 6)}
            for second, share in zip(prediction.seconds, shares, strict=True)
        ],
    }


def clip_view(
    prediction: ClipPrediction, config: ResNetLSTMConfig, name: str, *, example_of: str | None = None
) -> str:
    """The HTML of a prediction.

    Args:
        prediction: Of one clip.
        config: The model's.
        name: What the clip is called.
        example_of: The label of a generated example.
    """
    labels = [config.id2label[label] for label in range(len(prediction.logits))]
    best = prediction.top_k(TOP_K)
    top = [(labels[label], float(prediction.scores[label])) for label in best]
    kicker, answer, remark = answer_in_words(prediction, config)
    seconds = _end_seconds(prediction.seconds)
    source = f"{name}, {seconds:.1f} s"
    if prediction.damage:
        source += f": {prediction.damage}"
    if example_of is not None and example_of not in labels:
        source += ": a generated clip, which shows none of the actions that I know"
    playing = f'data-source="{escape(name)}" data-seconds="{seconds:.3f}"'
    return f"""<article class="rl-card rl-clip" aria-label="What {escape(name)} shows" {playing}>
<style>{_showing_rules(len(prediction.frames))}</style>
<div class="rl-stage">{_pictures(prediction, labels)}</div>
<div class="rl-answer"><div role="status"><p class="rl-kicker">{escape(kicker)}</p>
<h2>{escape(answer)}</h2><p class="rl-remark">{escape(remark)}</p></div>{bars(top)}
<p class="rl-source">{escape(source)}</p></div>
{_filmstrip(prediction, labels)}
{_curve(prediction, labels, best)}
</article>"""


def answer_in_words(prediction: ClipPrediction, config: ResNetLSTMConfig) -> tuple[str, str, str]:
    """What stands before the answer, the answer, and how sure it is."""
    best = prediction.top_k(1)[0]
    label, score = in_words(config.id2label[best]), float(prediction.scores[best])
    if prediction.is_unknown(config):
        remark = f"The nearest would be “{label}”, but it does not look like it."
        if best == config.background_label_id:
            remark = "It looks like the clips of none of them that I have learned from."
        return "I see", "None of my actions", remark
    if score < _UNSURE_BELOW:
        return "I am not sure", f"{label}?", f"{percent(score)} sure: take it for a guess."
    sure = "More than 99 %" if score >= 0.995 else percent(score)
    return "I see", label, f"{sure} sure."


def _end_seconds(seconds: np.ndarray) -> float:
    """Frames stand in the middle of equal segments, so the last half segment ends the clip."""
    return float(seconds[-1] + seconds[0])


def _softmax(logits: np.ndarray) -> np.ndarray:
    import numpy as np

    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _pictures(prediction: ClipPrediction, labels: list[str]) -> str:
    """Each frame large, with what it says; the style sheet shows the one that is pointed at, or else chosen."""
    frame_scores = _softmax(prediction.frame_logits)  # [T, L]
    shares = prediction.frame_shares()
    figures = []
    for index, (picture, scores) in enumerate(zip(prediction.frames, frame_scores, strict=True)):
        best = [i for i in scores.argsort()[::-1][:2] if scores[i] >= _LEAST_SAID]
        says = ", ".join(f"{in_words(labels[i])} {percent(float(scores[i]))}" for i in best)
        figures.append(
            f'<figure class="rl-picture"><img src="{data_uri(picture, _PICTURE_WIDTH)}" alt="">'
            f"<figcaption><b>{prediction.seconds[index]:.1f} s</b> <span>{escape(says)}</span> "
            f"<i>{signed(float(shares[index]))} % of the decision</i></figcaption></figure>"
        )
    return "".join(figures)


def _showing_rules(num_frames: int) -> str:
    """Style rules by which the frame that is pointed at is shown large, and the chosen one when none is."""
    rules = []
    for number in range(1, num_frames + 1):
        frame, picture = f".rl-frame:nth-child({number})", f".rl-picture:nth-child({number})"
        chosen = f".rl-clip:has({frame} input:checked):not(:has(.rl-frame:hover)) {picture}"
        rules.append(f"{chosen},.rl-clip:has({frame}:hover) {picture}{{visibility:visible}}")
    return "".join(rules)


def _filmstrip(prediction: ClipPrediction, labels: list[str]) -> str:
    """The frames as radio buttons, so that one is chosen by click, by touch and by the arrow keys."""
    shares = prediction.frame_shares()
    frame_scores = _softmax(prediction.frame_logits)
    chosen = int(shares.argmax())
    scale = max(abs(float(shares.max())), abs(float(shares.min())), 1e-6)
    group = f"rl-{secrets.token_hex(4)}"
    frames = []
    for index, (picture, share) in enumerate(zip(prediction.frames, shares, strict=True)):
        label = int(frame_scores[index].argmax())
        spoken = (
            f"Frame {index + 1} of {len(shares)}, at {prediction.seconds[index]:.1f} seconds: "
            f"{in_words(labels[label])} {percent(float(frame_scores[index, label]))}; "
            f"{signed(float(share))} % of the decision"
        )
        side = "rl-for" if share >= 0 else "rl-against"
        height = f"height:{100 * abs(share) / scale:.0f}%"
        frames.append(
            f'<label class="rl-frame {side}" title="{escape(spoken)}">'
            f'<input type="radio" name="{group}" value="{index}" aria-label="{escape(spoken)}"'
            f"{' checked' if index == chosen else ''}>"
            f'<img src="{data_uri(picture, _THUMBNAIL_WIDTH, 70)}" alt="">'
            f'<span class="rl-share" aria-hidden="true"><span style="{height}"></span></span>'
            f'<span class="rl-number" aria-hidden="true">{signed(float(share))}</span></label>'
        )
    return (
        f'<fieldset class="rl-strip"><legend>Every frame’s share in the decision, in per cent</legend>'
        f'<button type="button" class="rl-button rl-play">Play</button>'
        f'<div class="rl-frames" role="radiogroup" aria-label="Frames">{"".join(frames)}</div></fieldset>'
    )


def _curve(prediction: ClipPrediction, labels: list[str], best: list[int]) -> str:
    """What the answer would have been had the clip ended after each frame: the softmax of the mean so far."""
    import numpy as np

    counts = np.arange(1, len(prediction.frame_logits) + 1)[:, None]
    scores = _softmax(np.cumsum(prediction.frame_logits, axis=0) / counts)  # [T, L]
    shown = best[:_MAX_CURVES]
    lines = [(labels[label], scores[:, label].tolist()) for label in shown]
    first = next((i for i in range(len(scores)) if (scores[i:].argmax(axis=1) == best[0]).all()), len(scores) - 1)
    description = (
        f"The prediction as the clip goes on: {in_words(labels[best[0]])} leads from "
        f"{prediction.seconds[first]:.1f} seconds to the end."
    )
    figure = curve(lines, prediction.seconds.tolist(), _end_seconds(prediction.seconds), description)
    return f'<section class="rl-run"><h3>The prediction as the clip goes on</h3>{figure}</section>'
