"""What is remembered of the clips that a visitor had answered: the pictures that the model read, and no video."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from page_sessions import PageSession

if TYPE_CHECKING:
    from engine import Answer

# So many clips can be compared.
_KEPT = 2


@dataclass(frozen=True)
class ClipLook:
    """A clip that was answered, as it is remembered.

    Attributes:
        name: What its file was called.
        answer: Its prediction has the small pictures that the model has looked at in the place of its frames.
        aspect: How much wider than high the clip is.
    """

    name: str
    answer: Answer
    aspect: float


@dataclass(eq=False)
class LookSession(PageSession):
    """The last clips that were answered to one visitor.

    Attributes:
        page: As in `PageSession`.
        looks: Latest first.
    """

    looks: list[ClipLook] = field(default_factory=list)

    def forget(self) -> None:
        """Let go of everything."""
        self.looks.clear()

    def add(self, answer: Answer) -> None:
        """Remember an answer in the place of the one before the last; those of another model say other things."""
        height, width = answer.prediction.frames.shape[1:3]
        prediction = replace(answer.prediction, frames=answer.pictures.numpy())
        look = ClipLook(Path(str(prediction.source)).name, replace(answer, prediction=prediction), width / height)
        before = [each for each in self.looks if each.answer.taught is answer.taught]
        self.looks = [look, *before][:_KEPT]
