"""The files of an exported model: where they lie, and whether they are what the model is now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from transformers.utils import SAFE_WEIGHTS_NAME

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..data.video_folder import file_sha256

# Folders and names as optimum, sentence-transformers and transformers.js lay them out on the Hub.
_FILES = {
    "onnx": ("onnx/model{suffix}.onnx",),
    "openvino": ("openvino/openvino_model{suffix}.xml", "openvino/openvino_model{suffix}.bin"),
}
EXPORT_FORMATS = tuple(_FILES)


@dataclass(frozen=True)
class Export:
    """One of the ways in which a model may be exported.

    Attributes:
        format: One of `EXPORT_FORMATS`.
        int8: The backbone computes with 8-bit integers.
    """

    format: str
    int8: bool = False

    def __post_init__(self) -> None:
        if self.format not in _FILES:
            raise ValueError(f"format {self.format!r}: must be one of {', '.join(EXPORT_FORMATS)}.")

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the graph within a model's directory, the one to open first."""
        return tuple(file.format(suffix="_int8" if self.int8 else "") for file in _FILES[self.format])

    @property
    def record_file(self) -> str:
        """The JSON file beside them that says what they were made from."""
        return str(Path(self.files[0]).with_suffix(".json").as_posix())

    def command(self, model: str) -> str:
        """The command that makes it."""
        options = " --int8 --dataset DATASET" if self.int8 else ""
        return f"resnet-lstm export {model} --format {self.format}{options}"


def model_facts(model_dir: Path, config: ResNetLSTMConfig) -> dict[str, Any]:
    """What an export depends on: if any of it changes, the export is another model's.

    Raises:
        FileNotFoundError: The weights are not there.
    """
    return {"weights_sha256": file_sha256(_require(model_dir / SAFE_WEIGHTS_NAME)), "temperature": config.temperature}


def locate_export(model: str, export: Export, config: ResNetLSTMConfig) -> Path:
    """The graph of an exported model, when it is whole and was made from the weights that the model has now.

    Args:
        model: A directory or Hub id. From the Hub, only the files needed are downloaded.
        export: Which export of it.
        config: The model's.

    Raises:
        FileNotFoundError: There is no such export.
        ValueError: It is damaged, or was made from other weights.
    """
    try:
        record = json.loads(_model_file(model, export.record_file).read_text(encoding="utf-8"))
        paths = [_model_file(model, file) for file in export.files]
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{model}: not exported ({export.files[0]} or its record is missing). Make it: {export.command(model)}"
        ) from error
    for path in paths:
        if file_sha256(path) != record["files"][path.name]:
            raise ValueError(f"{path}: not the file that was exported. Make it again: {export.command(model)}")
    facts = model_facts(_model_file(model, SAFE_WEIGHTS_NAME).parent, config)
    if facts != {name: record[name] for name in facts}:
        raise ValueError(
            f"{paths[0]}: stale, the model's weights have changed since. Make it again: {export.command(model)}"
        )
    return paths[0]


def _model_file(model: str, file: str) -> Path:
    if Path(model).is_dir():
        return _require(Path(model) / file)
    try:
        return Path(hf_hub_download(model, file))
    except EntryNotFoundError as error:
        raise FileNotFoundError(f"{model}: has no {file}.") from error


def _require(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    return path
