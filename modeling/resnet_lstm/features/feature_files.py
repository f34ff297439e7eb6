"""Files of frame features: Parquet, a row for each clip and view, and beside them a manifest.

Parquet because a file holds the features together with what is told of the clips, is read row group by row group from
any store that fsspec knows, and checks each page by its own checksum. Features are stored as the bytes of their
float32 numbers: as lists of numbers they take three times as long to read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ..data.video_folder import Clip, DatasetError

MANIFEST_FILE = "manifest.json"
FORMAT = "resnet-lstm-features"
FORMAT_VERSION = 1
FOOTER_KEY = b"resnet_lstm"
ROW_GROUP_BYTES = 16 * 2**20

FEATURES_COLUMN = "frame_features"
_CLIP_SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("clip", pa.int64()),
        ("num_frames", pa.int64()),
        ("fps", pa.float64()),
        ("seconds", pa.float64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("sha256", pa.string()),
        ("view", pa.string()),
    ]
)
CLIP_COLUMNS = tuple(_CLIP_SCHEMA.names)
_SCHEMA = _CLIP_SCHEMA.append(pa.field(FEATURES_COLUMN, pa.binary()))


class FeatureFileWriter:
    """Writes one file; no more than a row group is held.

    Args:
        path: The file.
        footer: What it shall say of itself, as JSON; the features' shape and the number of clips are added.
    """

    def __init__(self, path: Path, footer: Mapping[str, Any]) -> None:
        self._footer = dict(footer)
        self._rows: list[dict[str, Any]] = []
        self._shape: tuple[int, ...] | None = None
        self._labels: dict[str, None] = {}
        self._num_rows = 0
        self._writer = pq.ParquetWriter(
            path, _SCHEMA, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True
        )

    def write(self, clip: Clip, view: str, frame_features: torch.Tensor) -> None:
        """Add the features `[T, D]` of a clip in a view.

        Raises:
            ValueError: They are of another shape than those before.
        """
        features = frame_features.float().contiguous().numpy().astype("<f4", copy=False)
        self._shape = self._shape or features.shape
        if features.shape != self._shape:
            raise ValueError(f"features of shape {features.shape} after some of {self._shape}.")
        self._labels[clip.label] = None
        self._rows.append({**asdict(clip), "view": view, FEATURES_COLUMN: features.tobytes()})
        if len(self._rows) * features.nbytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, _SCHEMA))
            self._num_rows += len(self._rows)
            self._rows = []

    def close(self, **more: Any) -> None:
        """Write the rest, and the footer with what has become known meanwhile."""
        self._flush()
        footer = {**self._footer, "shape": self._shape, "labels": sorted(self._labels), "rows": self._num_rows, **more}
        self._writer.add_key_value_metadata({FOOTER_KEY.decode(): json.dumps(footer, sort_keys=True)})
        self._writer.close()

    def abandon(self) -> None:
        """Close the file, which is not whole."""
        self._writer.close()


def footer_of(file: pq.ParquetFile, name: str) -> dict[str, Any]:
    """What a file says of itself.

    Raises:
        DatasetError: It is no file of features.
    """
    text = (file.metadata.metadata or {}).get(FOOTER_KEY)
    if text is None:
        raise DatasetError(f"{name}: holds no frame features that `resnet-lstm extract` wrote.")
    footer: dict[str, Any] = json.loads(text)
    return footer


def to_array(column: pa.ChunkedArray, shape: Sequence[int]) -> torch.Tensor:
    """The features `[N, *shape]` float32 of a column of bytes."""
    rows = [np.frombuffer(row.as_buffer(), "<f4").reshape(shape) for row in column]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, *shape)


def manifest_text(content: Mapping[str, Any]) -> str:
    """A manifest as it is written."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def manifest(footers: Mapping[str, Mapping[str, Any]], info: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the files of a set.

    Args:
        footers: Of each file, by its name.
        info: What the dataset's dataset.json says.
    """
    seen = sorted({label for footer in footers.values() for label in footer["labels"]})
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "key": next(iter(footers.values()))["key"],
        "info": {**info, "labels": info.get("labels") or seen},
        "shards": [
            {"file": name, **{what: footer[what] for what in ("split", "views", "rows", "source")}}
            for name, footer in sorted(footers.items())
        ],
        "failed": {name: cause for _, f in sorted(footers.items()) for name, cause in f["failed"].items()},
        "damaged": {name: damage for _, f in sorted(footers.items()) for name, damage in f["damaged"].items()},
    }
