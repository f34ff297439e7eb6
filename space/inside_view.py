"""What is found inside an answer -> what is shown of it: other orders, places in the pictures, two clips together."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from clip_view import TOP_K, answer_in_words
from view_parts import bars, data_uri, download_link, in_words, percent, signed

if TYPE_CHECKING:
    import numpy as np

    from look_session import ClipLook
    from resnet_lstm import ResNetLSTMConfig
    from resnet_lstm.inference import ClipPrediction, DecisionPlaces

_THUMBNAIL_WIDTH, _PICTURE_WIDTH = 96, 224
# Of the overlay: what speaks for the answer, and what against it.
_FOR, _AGAINST = (234, 88, 12), (37, 99, 235)
_STRONGEST = 0.75
# A few places are far stronger than all others.
_LARGEST_OF = 0.995


def orders_view(look: ClipLook, other: ClipPrediction, order: str, config: ResNetLSTMConfig) -> str:
    """A clip as it was filmed beside the same in another order.

    Args:
        look: The clip.
        other: What is said of it in the other order.
        order: What that is called, "shuffled" or "reversed".
        config: The model's.
    """
    as_filmed = look.answer.prediction
    sides = _side("As filmed", as_filmed, look.aspect, config) + _side(order.title(), other, look.aspect, config)
    return _pair(_worth_of_order(as_filmed, other, order, config), sides, _what_order_tells(config))


def _worth_of_order(as_filmed: ClipPrediction, other: ClipPrediction, order: str, config: ResNetLSTMConfig) -> str:
    best, best_of_other = as_filmed.top_k(1)[0], other.top_k(1)[0]
    label = in_words(config.id2label[best])
    before, after = percent(float(as_filmed.scores[best])), percent(float(other.scores[best]))
    scores = f"“{label}” has {before} as filmed and {after} {order}."
    if best == best_of_other:
        return f"Here order does not change the answer. {scores}"
    return f"Here order changes the answer. {scores} The best is then “{in_words(config.id2label[best_of_other])}”."


def _what_order_tells(config: ResNetLSTMConfig) -> str:
    if not config.num_lstm_layers:
        read = "how much has changed since the frames before" if config.temporal_change else "each frame alone"
        return f"This model has no LSTM: it reads {read}."
    return (
        "Of the changes from frame to frame the model reads how large they are, and not which way they go: shuffling "
        "makes them larger, reversing hardly differs. Only the LSTM can tell forwards from backwards."
    )


def compared_view(look: ClipLook, before: ClipLook, config: ResNetLSTMConfig) -> str:
    """The last two clips side by side."""
    sides = _side(before.name, before.answer.prediction, before.aspect, config)
    sides += _side(look.name, look.answer.prediction, look.aspect, config)
    labels = [in_words(config.id2label[each.answer.prediction.top_k(1)[0]]) for each in (before, look)]
    said = f"Both are likest to “{labels[0]}”." if len(set(labels)) == 1 else f"“{labels[0]}”, then “{labels[1]}”."
    return _pair(said, sides, "Below each frame is its share in the answer to its own clip.")


def _pair(said: str, sides: str, remark: str) -> str:
    return (
        f'<section class="rl-inside" aria-label="Side by side"><p role="status">{escape(said)}</p>'
        f'<div class="rl-sides">{sides}</div><p class="rl-notice">{escape(remark)}</p></section>'
    )


def _side(title: str, prediction: ClipPrediction, aspect: float, config: ResNetLSTMConfig) -> str:
    kicker, answer, remark = answer_in_words(prediction, config)
    top = [(config.id2label[label], float(prediction.scores[label])) for label in prediction.top_k(TOP_K)]
    return (
        f'<article class="rl-card rl-side" aria-label="{escape(title)}"><p class="rl-kicker">{escape(title)}</p>'
        f"<div><p>{escape(kicker)}</p><h4>{escape(answer)}</h4><p>{escape(remark)}</p></div>{bars(top)}"
        f"{_strip(prediction, aspect)}</article>"
    )


def _strip(prediction: ClipPrediction, aspect: float) -> str:
    shares = prediction.frame_shares()
    scale = max(float(abs(shares).max()), 1e-6)
    frames = "".join(
        f'<li class="rl-frame {"rl-for" if share >= 0 else "rl-against"}">'
        f'<img src="{data_uri(picture, _THUMBNAIL_WIDTH, 70)}" style="aspect-ratio:{aspect:.3f}" '
        f'alt="Frame {number}: {signed(float(share))} % of the decision">'
        '<span class="rl-share" aria-hidden="true">'
        f'<span style="height:{100 * abs(share) / scale:.0f}%"></span></span>'
        f'<span class="rl-number" aria-hidden="true">{signed(float(share))}</span></li>'
        for number, (picture, share) in enumerate(zip(prediction.frames, shares, strict=True), 1)
    )
    return f'<ol class="rl-frames" aria-label="Frames as they were read">{frames}</ol>'


def places_view(look: ClipLook, found: DecisionPlaces, config: ResNetLSTMConfig) -> str:
    """Where in the pictures of a clip its answer comes from, as an overlay that can be switched off."""
    prediction = look.answer.prediction
    label = in_words(config.id2label[prediction.top_k(1)[0]])
    places = found.places.numpy()
    shares = found.frame_shares.tolist()
    scale = float(abs(places).flatten()[abs(places).argsort(axis=None)[int(_LARGEST_OF * (places.size - 1))]])
    figures = "".join(
        f'<figure class="rl-seen"><div><img src="{data_uri(picture, _PICTURE_WIDTH)}" alt="" '
        f'style="aspect-ratio:{look.aspect:.3f}"><img class="rl-where" src="{_overlay(of_frame, scale)}" alt=""></div>'
        f"<figcaption>{seconds:.1f} s: {signed(float(share))} %</figcaption></figure>"
        for picture, of_frame, share, seconds in zip(
            prediction.frames, places, shares, prediction.seconds, strict=True
        )
    )
    return (
        '<section class="rl-inside rl-places" aria-label="Where it comes from">'
        '<label class="rl-switch"><input type="checkbox" checked> Show where the answer comes from</label>'
        f'<p role="status"><span class="rl-swatch rl-swatch-for" aria-hidden="true"></span>Orange speaks for '
        f'“{escape(label)}”, <span class="rl-swatch rl-swatch-against" aria-hidden="true"></span>blue against it. '
        f"{escape(_parts(found))}</p>"
        f'<div class="rl-seens">{figures}</div><p class="rl-notice">{escape(_how_exact(config))}</p></section>'
    )


def _parts(found: DecisionPlaces) -> str:
    """What the decision is made up of, in per cent."""
    places, without, lstm = (signed(float(part.sum())) for part in (found.places, found.without_place, found.lstm))
    return f"Of the decision, {places} % lie in places, {without} % have none, and {lstm} % are the LSTM’s."


def _how_exact(config: ResNetLSTMConfig) -> str:
    changes = " and of how much that has changed since the frames before" if config.temporal_change else ""
    lstm = " The LSTM’s part is of frames in their order, and is not split over places."
    return (
        f"How exact this is: the classifier reads means over the picture{changes}, and a mean is a sum over places, "
        "so places and what has none add up to the share of each frame. Two steps are no such sums. The root that is "
        "taken of each feature is divided in proportion to what each place adds to it, and the scale that brings "
        f"each frame to one length is taken as it is.{lstm if config.num_lstm_layers else ''} What has no place is "
        "what each feature is compared with, its mean over the clips that were trained on. And a place is where a "
        "feature was found; what it was found by may lie around it."
    )


def _overlay(places: np.ndarray, scale: float) -> str:
    """Places `[rows, columns]` as a picture to lay over a frame, the stronger the less transparent."""
    import numpy as np
    from PIL import Image

    strength = np.clip(abs(places) / max(scale, 1e-12), 0, 1)
    pixels = np.empty((*places.shape, 4), np.uint8)
    pixels[..., :3] = np.where(places[..., None] >= 0, _FOR, _AGAINST)
    pixels[..., 3] = 255 * _STRONGEST * strength
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def card_view(card: bytes, name: str, description: str) -> str:
    """A picture to take along.

    Args:
        card: A PNG.
        name: What the clip was called.
        description: What the picture shows, for who cannot see it.
    """
    stem = name.rpartition(".")[0] or name
    return (
        f'<section class="rl-inside" aria-label="As a picture"><p role="status">The answer as a picture: '
        f"{download_link('Download it', f'{stem}-answer.png', card, 'image/png')}"
        '<button type="button" class="rl-button rl-copy">Copy it</button></p>'
        f'<img class="rl-answer-card" alt="{escape(description)}" '
        f'src="data:image/png;base64,{base64.b64encode(card).decode()}"></section>'
    )
