"""Cards as they are read back: the metadata on top, the text below."""

from __future__ import annotations

from typing import Any

from huggingface_hub import DatasetCard, ModelCard, SpaceCard

from .errors import PublishingError

CARD_FILE = "README.md"


def parse_card(text: str, place: object, card_class: type[ModelCard | DatasetCard | SpaceCard]) -> Any:
    """Read a card with huggingface_hub's own parser; `place` names it in the error.

    Raises:
        PublishingError: Its metadata cannot be read.
    """
    try:
        return card_class(text)
    except Exception as error:  # whatever yaml and the checks of the many fields raise
        why = " ".join(str(error).split())
        raise PublishingError(f"{place}: its metadata cannot be read ({why}). Correct them.") from error
