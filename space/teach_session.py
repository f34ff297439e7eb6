"""What is remembered of a visitor who teaches: of each clip what the model makes of its frames, and no video."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from limits import VideoRefusedError
from page_sessions import PageSession

if TYPE_CHECKING:
    import torch

    from resnet_lstm import ResNetLSTMForVideoClassification
    from resnet_lstm.teaching import TaughtModel

MAX_ACTIONS = 20
MAX_CLIPS_OF_ACTION = 30
MAX_NAME_LENGTH = 60


@dataclass(frozen=True)
class ClipToLearn:
    """A clip of an action, as it is remembered.

    Attributes:
        name: What its file was called.
        sha256: Of its bytes.
        frame_features: `[T, D]`, what the model makes of its frames.
        thumbnail: A few of its frames side by side, small, as the address of a picture.
    """

    name: str
    sha256: str
    frame_features: torch.Tensor
    thumbnail: str


@dataclass(eq=False)
class TeachSession(PageSession):
    """One visitor's actions.

    Attributes:
        page: As in `PageSession`.
        actions: The clips of each action.
        base: What is taught: the Space's model, or one that the visitor has brought along; None for the former.
        taught: What came of the last learning; None before it.
    """

    actions: dict[str, list[ClipToLearn]] = field(default_factory=dict)
    base: ResNetLSTMForVideoClassification | None = None
    taught: TaughtModel | None = None

    @property
    def model(self) -> ResNetLSTMForVideoClassification | None:
        """What knows the visitor's actions, learned here or brought along; None before."""
        return self.base if self.taught is None else self.taught.model

    @staticmethod
    def model_of(session: TeachSession | None) -> ResNetLSTMForVideoClassification:
        """The model of a session.

        Raises:
            VideoRefusedError: There is none yet.
        """
        if session is None or session.model is None:
            raise VideoRefusedError("Learn your actions first.")
        return session.model

    def forget(self) -> None:
        """Let go of everything."""
        self.actions.clear()
        self.base = self.taught = None

    def name_of(self, action: str | None) -> str:
        """The action that is meant: one that is there already however it is capitalised, or a new one.

        Raises:
            VideoRefusedError: The name is empty, too long or none that can be shown, or there are too many actions.
        """
        from resnet_lstm.data.class_names import check_plain_name
        from resnet_lstm.data.video_folder import DatasetError

        name = " ".join((action or "").split())
        if not name:
            raise VideoRefusedError("Name the action first.")
        if len(name) > MAX_NAME_LENGTH:
            raise VideoRefusedError(f"The name has {len(name)} letters. At most {MAX_NAME_LENGTH} are taken.")
        try:
            check_plain_name(name, "teach")
        except DatasetError as error:
            raise VideoRefusedError(str(error)) from None
        for known in self.actions:
            if known.casefold() == name.casefold():
                return known
        if len(self.actions) >= MAX_ACTIONS:
            raise VideoRefusedError(f"There are {MAX_ACTIONS} actions already, as many as are taken here.")
        return name

    def check_room(self, action: str, path: Path) -> str:
        """See that a clip of an action can be taken; its SHA-256.

        Raises:
            VideoRefusedError: It is there already, or the action has too many.
        """
        clips = self.actions.get(action, [])
        if len(clips) >= MAX_CLIPS_OF_ACTION:
            raise VideoRefusedError(f"{action} has {len(clips)} clips, as many as are taken here.")
        from resnet_lstm.data.video_folder import file_sha256

        sha256 = file_sha256(path)
        for other, others in self.actions.items():
            if any(clip.sha256 == sha256 for clip in others):
                raise VideoRefusedError(f"{path.name}: is a clip of {other} already.")
        return sha256

    def add(self, action: str, clip: ClipToLearn) -> None:
        """Take a clip. What was learned before stays until it is learned anew."""
        self.actions.setdefault(action, []).append(clip)

    def take_back(self, action: str | None) -> None:
        """Forget the last clip of an action, and the action with its only one."""
        clips = self.actions.get(action or "", [])
        if clips:
            clips.pop()
        if action and not clips:
            self.actions.pop(action, None)

    def what_is_missing(self, keep: bool) -> str | None:
        """What has to be added before anything can be learned, in words; None if nothing.

        Args:
            keep: Whether the base model's own actions stay.
        """
        if not self.actions or (len(self.actions) < 2 and not keep):
            return "Two actions are the least: add another one, if only of you doing nothing."
        few = [name for name, clips in self.actions.items() if len(clips) < 2]
        return (
            f"Add a second clip of {few[0]}: each clip is tried on what was learned from the others." if few else None
        )
