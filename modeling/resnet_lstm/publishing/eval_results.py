"""A model's figures as entries of a benchmark's leaderboard on the Hub.

They stand beside `model-index` in the card, which no leaderboard adds up any more; see
https://huggingface.co/docs/hub/eval-results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from ..evaluation.report import figure_names, split_words

FOLDER = ".eval_results"


def eval_result_files(metrics: Mapping[str, Any], datasets: Sequence[str] | None) -> dict[str, bytes]:
    """The files of `.eval_results/`, by path.

    Args:
        metrics: `EvaluationReport.to_dict()`.
        datasets: Where the data live on the Hub.

    Returns:
        One file, with an entry for each figure, whose task is the figure's name in `metrics.json`. None where the
        entries would belong to no benchmark or to several, and for a leaky split: a leaderboard ranks by the value
        alone, and says nothing of how it came about.
    """
    if metrics["leaky"] or len(datasets or ()) != 1:
        return {}
    [dataset] = datasets or ()
    notes = f"{split_words(metrics['split'], metrics['split_scheme'], leaky=False)}, {metrics['clips']} clips"
    entries = [
        EvalResultEntry(
            dataset_id=dataset, task_id=figure, value=round(metrics[figure]["value"], 4), notes=f"{name}; {notes}"
        )
        for figure, name in figure_names(len(metrics["label_names"])).items()
    ]
    text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
    return {f"{FOLDER}/{dataset.rpartition('/')[2]}.yaml": text.encode("utf-8")}
