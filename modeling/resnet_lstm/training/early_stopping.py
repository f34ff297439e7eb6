"""When to stop, and which epoch was the best."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Watches one figure of the validation split.

    Attributes:
        patience: Epochs without a better figure after which `should_stop` is true; 0 means never.
        greater_is_better: Whether a higher figure is better.
        best_value: The best figure so far.
        best_epoch: Its epoch.
        epochs_since_best: Epochs since then.
    """

    patience: int
    greater_is_better: bool
    best_value: float | None = None
    best_epoch: int | None = None
    epochs_since_best: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take an epoch's figure. Returns whether it is the best so far; NaN never is."""
        better = value == value and (
            self.best_value is None or (value > self.best_value if self.greater_is_better else value < self.best_value)
        )
        if better:
            self.best_value, self.best_epoch, self.epochs_since_best = value, epoch, 0
        else:
            self.epochs_since_best += 1
        return better

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.patience <= self.epochs_since_best
