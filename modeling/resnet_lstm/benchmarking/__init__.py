"""Speed, as ratios of what is measured side by side in one run."""

from .figures import Figure, figures_markdown, plot_figures, write_figures
from .matrix_multiply import flop_of, matrix_multiply_limit
from .turns import Contender, ratios, time_in_turns

__all__ = [
    "Contender",
    "Figure",
    "figures_markdown",
    "flop_of",
    "matrix_multiply_limit",
    "plot_figures",
    "ratios",
    "time_in_turns",
    "write_figures",
]
