"""Each tab and each of its states, as axe-core judges it: at a desk and on a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet_lstm.data.generated_clips import write_generated_clips
from space_fixtures import SIZES, TIMEOUT_MILLISECONDS, RunningSpace, open_tab, start_camera, upload

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")


@pytest.fixture(params=[(size, theme) for size in SIZES for theme in ("light", "dark")], ids="-".join)
def page(request: pytest.FixtureRequest, browser: Any, space: RunningSpace) -> Iterator[Any]:
    size, theme = request.param
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, permissions=["camera"]
    )
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MILLISECONDS)
    page.goto(space.url)
    page.locator("#clip-words li").first.wait_for()
    yield page
    context.close()


def violations(page: Any) -> list[str]:
    """What axe-core finds, in lines that name the rule and the element."""
    # What is being updated is paler for a moment, and what is animated has no colour yet.
    page.wait_for_function("!document.querySelector('.pending, .generating')")
    page.wait_for_timeout(700)
    found = axe_playwright.Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['target']} {node['html'][:120]}" for each in found for node in each["nodes"]]


def look_inside(page: Any) -> None:
    """See that each way to look inside the answer on this tab can be read by everyone."""
    for way, found in (
        ("Reverse its frames", ".rl-sides"),
        ("Where it comes from", ".rl-places"),
        ("As a picture", ".rl-answer-card"),
    ):
        page.get_by_role("button", name=way).click()
        page.locator(found).filter(visible=True).wait_for()
        assert violations(page) == [], way


def test_answers_can_be_read_by_everyone(page: Any) -> None:
    assert violations(page) == [], "start"
    page.get_by_role("button", name="Green to red").click()
    page.wait_for_selector(".rl-clip")
    assert violations(page) == [], "answer"
    look_inside(page)
    open_tab(page, "Timeline")
    page.get_by_role("button", name="One after the other").click()
    page.wait_for_selector("video[src*=annotated]")
    assert violations(page) == [], "timeline"
    start_camera(page)
    page.locator(".rl-live").wait_for()
    assert violations(page) == [], "live"
    open_tab(page, "About")
    page.wait_for_selector(".rl-matrix")
    assert violations(page) == [], "about"


def test_teaching_can_be_read_by_everyone(page: Any, tmp_path: Path) -> None:
    open_tab(page, "Teach")
    page.wait_for_selector("#teach-learn")
    assert violations(page) == [], "empty"
    clips = write_generated_clips(tmp_path / "clips", 3, classes=["darken", "shrink"])
    for action in ("darken", "shrink"):
        page.locator("#teach-name input, #teach-name textarea").fill(action)
        page.set_input_files("#teach-clips input[type=file]", sorted((clips / action).iterdir())[:2])
        page.locator(".rl-action", has_text=action.title()).get_by_text("2 clips").wait_for()
    assert violations(page) == [], "clips"
    page.click("#teach-learn")
    page.locator(".rl-learned h2").wait_for()
    upload(page, sorted((clips / "shrink").iterdir())[2], "#teach-try")
    page.locator("#teach-answer .rl-clip h2").wait_for()
    assert violations(page) == [], "taught"
    look_inside(page)
