"""Heads and recipes side by side: cross-validation over groups, on one set of cached features."""

from .background_clips import BackgroundResult, learn_background
from .cross_validation import CrossValidation, Fold, LabelledClips, cross_validate, group_folds
from .few_clips import FewClipsPoint, few_clips_markdown, reduced_folds, write_few_clips
from .plots import plot_gains
from .recipes import BASELINE, DEFAULT, RECIPES, Recipe
from .table import Row, compare, to_markdown, write_table
from .taught_classes import TaughtResult, TaughtTrial, teach_left_out_classes
from .unknown_actions import UnknownResult, class_folds, leave_out_classes

__all__ = [
    "BASELINE",
    "DEFAULT",
    "RECIPES",
    "BackgroundResult",
    "CrossValidation",
    "FewClipsPoint",
    "Fold",
    "LabelledClips",
    "Recipe",
    "Row",
    "TaughtResult",
    "TaughtTrial",
    "UnknownResult",
    "class_folds",
    "compare",
    "cross_validate",
    "few_clips_markdown",
    "group_folds",
    "learn_background",
    "leave_out_classes",
    "plot_gains",
    "reduced_folds",
    "teach_left_out_classes",
    "to_markdown",
    "write_few_clips",
    "write_table",
]
