"""How good a model is, how sure that is, and what the figures rest on."""

from .calibration import Reliability, fit_temperature, reliability
from .intervals import Interval, bootstrap_over_groups, in_points, paired_difference, share_of_gain
from .metrics import ClassMetrics, Metrics, compute_metrics
from .plots import (
    plot_confusion_matrix,
    plot_frame_strip,
    plot_per_class_f1,
    plot_reliability,
    plot_training_curves,
)
from .report import EvaluationReport, evaluate_predictions
from .timeline_plots import plot_timeline

__all__ = [
    "ClassMetrics",
    "EvaluationReport",
    "Interval",
    "Metrics",
    "Reliability",
    "bootstrap_over_groups",
    "compute_metrics",
    "evaluate_predictions",
    "fit_temperature",
    "in_points",
    "paired_difference",
    "plot_confusion_matrix",
    "plot_frame_strip",
    "plot_per_class_f1",
    "plot_reliability",
    "plot_timeline",
    "plot_training_curves",
    "reliability",
    "share_of_gain",
]
