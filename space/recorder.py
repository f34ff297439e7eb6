"""A recorder of short clips by the webcam: three, two, one, and then so many seconds. `page.js` makes it work."""

from __future__ import annotations

from html import escape


def recorder(
    into: str,
    seconds: int,
    *,
    named: str | None = None,
    back: str | None = None,
    words: str = "",
    hidden: bool = False,
) -> str:
    """The HTML of a recorder, which hands what it takes to an input for files as if it had been dropped there.

    Args:
        into: The id of the input.
        seconds: How long a take is.
        named: The id of the text box that has to be filled in before.
        back: The id of the button that takes the last take back, to record it again.
        words: What stands beside the button.
        hidden: Whether it is out of sight until a camera is found.
    """
    data = f'data-into="{into}" data-seconds="{seconds}"'
    if named:
        data += f' data-named="#{named} textarea, #{named} input"'
    if hidden:
        data += " hidden"
    again = ""
    if back:
        data += f' data-back="#{back}"'
        again = '<button type="button" class="rl-button rl-again" hidden>Record it again</button>'
    return (
        f'<div class="rl-recorder" {data}><div><button type="button" class="rl-button rl-record">'
        f"Record {seconds} seconds</button>{again}<span>{escape(words)}</span></div>"
        '<div class="rl-camera"><video muted playsinline hidden aria-label="Your camera"></video>'
        '<p class="rl-count" role="status"></p></div></div>'
    )
