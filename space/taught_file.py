"""A taught model as a .zip to take along. Of what is brought back no code is run, and no path is followed."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limits import MAX_MODEL_BYTES, VideoRefusedError
from teach_session import MAX_ACTIONS, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
    from resnet_lstm.teaching import TaughtModel

MODEL_NAME = "my-actions"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_MAX_CONFIG_BYTES = 2**20
_MAX_LABELS = 1000 + MAX_ACTIONS
# What a taught model's configuration may say otherwise than that of the model it was taught from.
_OWN_FIELDS = ("id2label", "label2id", "temperature", "known_threshold", "background_label_id", "num_class_directions")
_BASE = "resnet_lstm."


def write_zip(target: Path, taught: TaughtModel, processor: ResNetLSTMVideoProcessor, taught_from: str) -> None:
    """Write a taught model with code, figures and card as `my-actions/` in a .zip, not compressed: weights hardly are.

    Args:
        target: The file to make.
        taught: What came of teaching.
        processor: The model's processor.
        taught_from: The model that was taught, a directory or Hub id.
    """
    from resnet_lstm.teaching import write_taught_model

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, MODEL_NAME)
        write_taught_model(taught, processor, directory, taught_from)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(directory.rglob("*")):
                if path.is_file():
                    archive.write(path, f"{MODEL_NAME}/{path.relative_to(directory)}")


def read_zip(path: Path, model: ResNetLSTMForVideoClassification) -> ResNetLSTMForVideoClassification:
    """A taught model that was taken along: its head from the file, all else from the model that it was taught from.

    Args:
        path: A .zip from `write_zip`.
        model: The model of this Space.

    Raises:
        VideoRefusedError: It is no such file, or of another model.
    """
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            config = json.loads(_read(archive, _CONFIG, Path(folder), _MAX_CONFIG_BYTES).read_text("utf-8"))
            weights = _read(archive, _WEIGHTS, Path(folder), MAX_MODEL_BYTES)
            return _with_head(model, config, weights, path.name)
    except (zipfile.BadZipFile, KeyError, OSError, UnicodeDecodeError, json.JSONDecodeError, NotImplementedError):
        raise VideoRefusedError(f"{path.name}: no .zip of a model that was taught here.") from None


def _read(archive: zipfile.ZipFile, name: str, folder: Path, max_bytes: int) -> Path:
    """Unpack one file of the model, under a name of our own."""
    with archive.open(f"{MODEL_NAME}/{name}") as packed, (folder / name).open("wb") as file:
        # By what comes, not by what the .zip says: a few bytes can stand for endlessly many.
        while block := packed.read(2**20):
            if file.tell() + len(block) > max_bytes:
                raise VideoRefusedError(f"{name}: more than {max_bytes // 2**20} MB.")
            file.write(block)
    return folder / name


def _with_head(
    model: ResNetLSTMForVideoClassification, config: dict[str, Any], weights: Path, name: str
) -> ResNetLSTMForVideoClassification:
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError, safe_open

    from resnet_lstm import ResNetLSTMConfig, ResNetLSTMForVideoClassification

    fields = {field: config[field] for field in _OWN_FIELDS if field in config}
    _check_labels(fields, name)
    own = model.config.to_dict()
    other = f"{name}: was taught from another model than the one of this Space."
    try:
        with torch.device("meta"):
            taught_config = ResNetLSTMConfig.from_dict({**own, "early_exit_score": None, **fields})
            taught = ResNetLSTMForVideoClassification(taught_config)
        with safe_open(weights, framework="pt") as file:
            names = set(file.keys())
            head = {key: file.get_tensor(key) for key in names if not key.startswith(_BASE)}
            for key, tensor in model.state_dict().items():
                if key.startswith(_BASE) and (
                    key not in names or not torch.equal(file.get_tensor(key).to(tensor.dtype), tensor.cpu())
                ):
                    raise VideoRefusedError(other)
    except VideoRefusedError:
        raise
    except (ValueError, TypeError, SafetensorError, StrictDataclassError):
        raise VideoRefusedError(f"{name}: its {_CONFIG} or its weights are damaged.") from None
    wanted = {key: tensor for key, tensor in taught.state_dict().items() if not key.startswith(_BASE)}
    if {key: tensor.shape for key, tensor in wanted.items()} != {key: tensor.shape for key, tensor in head.items()}:
        raise VideoRefusedError(other)
    # Nothing of it is kept twice: frames are read by the Space's own model.
    taught.resnet_lstm = model.resnet_lstm
    taught.load_state_dict({key: tensor.to(model.device) for key, tensor in head.items()}, strict=False, assign=True)
    return taught.eval()


def _check_labels(fields: dict[str, Any], name: str) -> None:
    from resnet_lstm.data.class_names import check_plain_name
    from resnet_lstm.data.video_folder import DatasetError

    labels = fields.get("id2label")
    if not isinstance(labels, dict) or not 2 <= len(labels) <= _MAX_LABELS:
        raise VideoRefusedError(f"{name}: its {_CONFIG} names no actions.")
    for number, label in enumerate(labels.values()):
        if not isinstance(label, str) or str(number) not in labels or len(label) > 4 * MAX_NAME_LENGTH:
            raise VideoRefusedError(f"{name}: its {_CONFIG} names no actions.")
        try:
            check_plain_name(label, name)
        except DatasetError as error:
            raise VideoRefusedError(str(error)) from None
    fields["id2label"] = {int(number): label for number, label in labels.items()}
    fields["label2id"] = {label: int(number) for number, label in labels.items()}
