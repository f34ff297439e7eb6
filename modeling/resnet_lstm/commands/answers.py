"""Answers to sources, one after another: printed, and written to the files that are wanted."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState
from tqdm.auto import tqdm

from ..plain_text import csv_cell


@dataclass(frozen=True)
class Answer:
    """What is said of one source.

    Attributes:
        record: For JSON, with its `source`, and with `error` where it could not be read.
        rows: For the table, without the source.
        text: What is printed.
    """

    record: dict[str, Any]
    rows: list[list[Any]]
    text: str


def write_answers(args: argparse.Namespace, columns: Sequence[str], answers: Iterable[Answer]) -> int:
    """Print answers and write them down as they come, and return how many are errors.

    Args:
        args: With `json` and `csv`, the files. The first process of a run writes them.
        columns: The names of the table's columns, without that of the source.
        answers: Of all processes, see `answers_of_all`.
    """
    num_failed = 0
    is_first = PartialState().is_main_process
    with contextlib.ExitStack() as stack:
        json_file = stack.enter_context(args.json.open("w", encoding="utf-8")) if args.json and is_first else None
        csv_file = (
            stack.enter_context(args.csv.open("w", encoding="utf-8", newline="")) if args.csv and is_first else None
        )
        if csv_file:
            csv.writer(csv_file).writerow(["source", *columns])
        for answer in answers:
            is_error = "error" in answer.record
            num_failed += is_error
            tqdm.write(answer.text, file=sys.stderr if is_error else sys.stdout)
            if json_file:
                json_file.write(json.dumps(answer.record, ensure_ascii=False) + "\n")
            if csv_file:
                csv.writer(csv_file).writerows([csv_cell(answer.record["source"]), *row] for row in answer.rows)
    return num_failed
