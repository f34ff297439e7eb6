"""What is found inside an answer, without a browser."""

from __future__ import annotations

import copy
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from answer_card import answer_card, card_description
from engine import Answer, Engine
from inside_view import compared_view, orders_view, places_view
from look_session import LookSession
from page_sessions import forget_page
from resnet_lstm.data.generated_clips import generate_frames
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.inference import ClipPrediction, DecisionPlaces
from resnet_lstm.teaching import TaughtModel
from space_fixtures import ACTIONS

SPITEFUL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def session(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> LookSession:
    """Of the answers to a clip of each action."""
    session = LookSession("page")
    folder = tmp_path_factory.mktemp("clips")
    for label in ACTIONS:
        clip = write_video(folder / f"{label}.mp4", generate_frames(label, 1, seed=3, size=(48, 96)))
        *_, answer = engine.answer(str(clip))
        assert isinstance(answer, Answer)
        session.add(answer)
    return session


def in_order(engine: Engine, session: LookSession, order: str) -> ClipPrediction:
    *_, prediction = engine.in_order(session.looks[0].answer, order)
    assert isinstance(prediction, ClipPrediction)
    return prediction


def places_of(engine: Engine, session: LookSession) -> DecisionPlaces:
    *_, found = engine.places(session.looks[0].answer)
    assert isinstance(found, DecisionPlaces)
    return found


def test_the_last_two_clips_are_remembered_without_their_large_pictures(session: LookSession) -> None:
    assert [look.name for look in session.looks] == ["green_to_red.mp4", "brighten.mp4"]
    assert all(look.answer.prediction.frames.shape == (16, 64, 64, 3) for look in session.looks)
    assert session.looks[0].aspect == 2


def test_what_a_taught_model_says_is_looked_into_by_that_model(
    engine: Engine, session: LookSession, tmp_path: Path
) -> None:
    features = [torch.rand(16, engine.config.frame_feature_size) for _ in range(4)]
    *_, taught = engine.teach({"wave": features[:2], "clap": features[2:]}, None, keep=False)
    assert isinstance(taught, TaughtModel)
    clip = write_video(tmp_path / "clip.mp4", generate_frames("grow", 1, seed=3))
    *_, answer = engine.answer(str(clip), taught.model)
    assert isinstance(answer, Answer)
    of_taught = LookSession("page")
    of_taught.looks = list(session.looks)
    of_taught.add(answer)
    # Those of another model have other labels, and are compared with none of this.
    assert [look.name for look in of_taught.looks] == ["clip.mp4"]
    np.testing.assert_allclose(in_order(engine, of_taught, "as filmed").logits, answer.prediction.logits, atol=1e-5)
    np.testing.assert_allclose(places_of(engine, of_taught).frame_shares, answer.prediction.frame_shares(), atol=0.02)
    config = engine.config_of(answer)
    view = orders_view(of_taught.looks[0], in_order(engine, of_taught, "reversed"), "reversed", config)
    assert set(re.findall(r'rl-label">([^<]*)<', view)) == {"Wave", "Clap"}


def test_what_a_page_had_answered_is_forgotten_with_it(session: LookSession) -> None:
    closed = LookSession("closed")
    closed.looks = list(session.looks)
    forget_page("closed")
    assert not closed.looks
    assert len(session.looks) == 2


def test_as_filmed_is_what_was_answered(engine: Engine, session: LookSession) -> None:
    again, answered = in_order(engine, session, "as filmed"), session.looks[0].answer.prediction
    np.testing.assert_allclose(again.logits, answered.logits, atol=1e-5)
    np.testing.assert_array_equal(again.frames, answered.frames)


def test_frames_in_another_order_are_the_same_frames(engine: Engine, session: LookSession) -> None:
    as_filmed = session.looks[0].answer.prediction
    backwards, shuffled = in_order(engine, session, "reversed"), in_order(engine, session, "shuffled")
    np.testing.assert_array_equal(backwards.frames, as_filmed.frames[::-1])
    assert not np.array_equal(shuffled.frames, as_filmed.frames)
    assert sorted(map(np.ndarray.tobytes, shuffled.frames)) == sorted(map(np.ndarray.tobytes, as_filmed.frames))
    # A colour that turns from green to red turns in leaps now, which the model reads.
    assert np.abs(shuffled.logits - as_filmed.logits).max() > 1e-3


def test_the_order_is_told_side_by_side(engine: Engine, session: LookSession) -> None:
    look = session.looks[0]
    as_filmed = look.answer.prediction
    view = orders_view(look, in_order(engine, session, "shuffled"), "shuffled", engine.config)
    assert re.findall(r'rl-kicker">([^<]*)<', view) == ["As filmed", "Shuffled"]
    other = replace(as_filmed, logits=-as_filmed.logits)
    changed = orders_view(look, other, "reversed", engine.config)
    assert "Here order changes the answer" in changed
    assert "Here order does not change the answer" in orders_view(look, as_filmed, "reversed", engine.config)


def test_places_sum_to_the_shares_that_were_shown(engine: Engine, session: LookSession) -> None:
    found = places_of(engine, session)
    shares = session.looks[0].answer.prediction.frame_shares()
    np.testing.assert_allclose(found.frame_shares, shares, atol=0.02)  # the precisions differ
    view = places_view(session.looks[0], found, engine.config)
    assert view.count('class="rl-where"') == 16
    told = [int(part) for part in re.findall(r"([+-]\d+) % (?:lie|have|are)", view)]
    assert sum(told) == pytest.approx(100, abs=2)
    assert "is not split over places" in view


def test_two_clips_are_compared_in_the_order_they_came(engine: Engine, session: LookSession) -> None:
    look, before = session.looks
    view = compared_view(look, before, engine.config)
    assert re.findall(r'rl-kicker">([^<]*)<', view) == ["brighten.mp4", "green_to_red.mp4"]


def test_the_picture_to_take_along_is_whole_however_long_the_names_are(engine: Engine, session: LookSession) -> None:
    look = replace(session.looks[0], name=f"{'a long name ' * 40}.mp4")
    card = Image.open(io.BytesIO(answer_card(look, engine.config)))
    assert card.format == "PNG"
    assert card.width == 1200
    # Nothing is written over the margin.
    pixels = np.asarray(card)
    assert (pixels[:, :40] == 255).all()
    assert (pixels[:, -40:] == 255).all()
    assert (pixels != 255).any()
    assert "Green to red" in card_description(look, engine.config)


def test_an_action_of_a_long_name_is_told_from_another_on_the_picture(engine: Engine, session: LookSession) -> None:
    cards = []
    for ending in ("lowered", "lowering"):
        config = copy.deepcopy(engine.config)
        config.id2label = dict.fromkeys(config.id2label, f"jumping jacks with both of the arms {ending}")
        card = Image.open(io.BytesIO(answer_card(session.looks[0], config)))
        cards.append(np.asarray(card.convert("L"))[:300])
    # In the answer, on the left, and beside the bars.
    assert (cards[0][:, :550] != cards[1][:, :550]).any()
    assert (cards[0][:, 600:] != cards[1][:, 600:]).any()


def test_nothing_of_a_name_becomes_markup_there(engine: Engine, session: LookSession) -> None:
    look, before = (replace(look, name=SPITEFUL) for look in session.looks)
    assert "<script" not in compared_view(look, before, engine.config)
