"""ResNet-LSTM model: ResNet-50 turns each frame into a vector, an LSTM reads the vectors in order.

Shapes: B batch, T frames, P previous frames, C colours, D frame feature size, H size of what the head reads of a
frame, U LSTM units, L labels. Pictures are `height` by `width`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ResNet as TorchvisionResNet
from transformers import PreTrainedModel, ResNetModel
from transformers import initialization as init
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .class_statistics import ClassStatistics
from .configuration_resnet_lstm import ResNetLSTMConfig
from .device_precision import backbone_dtype
from .folded_backbone import FoldedBackbone, can_be_folded
from .frame_reading import features_of_maps
from .head_precision import apply_to_backbone, leaving_float32, without_autocast
from .known_score import KnownScore
from .lstm_reading import is_eager, read_in_order
from .torchvision_weights import from_torchvision

# Frames `[N, C, height, width]` -> features `[N, D]`.
CompiledBackbone = Callable[[torch.Tensor], torch.Tensor]

# The LSTM's hidden and cell state, [layers, B, U] each, and the last frames' features, [P, B, D].
LSTMState = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

# Keeps the gradient of the root finite where nothing has changed.
_ROOT_EPS = 1e-4

# What computes the features of a `ResNetLSTMModel` where no gradient is wanted. It is kept outside of the module, so
# that a model which has predicted can be copied, pickled, traced and shared as any other.
_compiled_backbones: WeakKeyDictionary[nn.Module, CompiledBackbone] = WeakKeyDictionary()


@dataclass
class ResNetLSTMModelOutput(ModelOutput):
    """
    Args:
        last_hidden_state (`torch.Tensor` of shape `[B, T, H + U]`):
            What the head reads of each frame, beside the LSTM's output after that frame.
        frame_features (`torch.Tensor` of shape `[B, T, D]`):
            The backbone's features, which may be kept and passed again in place of the pixel values.
        lstm_state (`tuple` of three `torch.Tensor` of shape `[layers, B, U]`, `[layers, B, U]` and `[P, B, D]`):
            The LSTM's state after the last frame and the features of the last P frames, as many as the furthest of
            `config.lags`, to go on from.
        hidden_states (`tuple` of `torch.Tensor` of shape `[B * T, channels, height, width]`, *optional*):
            The backbone's maps, when `output_hidden_states` is set and frames were passed: of its embedder and of each
            of its stages.
    """

    last_hidden_state: torch.Tensor | None = None
    frame_features: torch.Tensor | None = None
    lstm_state: LSTMState | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


@dataclass
class ResNetLSTMForVideoClassificationOutput(ModelOutput):
    """
    Args:
        loss (`torch.Tensor` of shape `[]`, *optional*):
            Classification loss, when `labels` are given.
        logits (`torch.Tensor` of shape `[B, L]`):
            The clip's scores: the mean of `frame_logits` over its frames.
        frame_logits (`torch.Tensor` of shape `[B, T, L]`):
            What each frame adds to the decision, knowing the frames before it and none after it.
        lstm_state (`tuple` of three `torch.Tensor` of shape `[layers, B, U]`, `[layers, B, U]` and `[P, B, D]`):
            The LSTM's state after the last frame and the features of the last P frames.
        clip_features (`torch.Tensor` of shape `[B, H]`):
            The mean over the frames of what the head reads.
        known_score (`torch.Tensor` of shape `[B]`, *optional*):
            How probable it is, from 0 to 1, that a clip shows one of the model's actions at all; below
            `config.known_threshold` it is taken for none of them. None where the model does not tell.
        frame_features (`torch.Tensor` of shape `[B, T, D]`, *optional*):
            The backbone's features, when `output_frame_features` is set.
        hidden_states (`tuple` of `torch.Tensor` of shape `[B * T, channels, height, width]`, *optional*):
            The backbone's maps, when `output_hidden_states` is set and frames were passed.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    frame_logits: torch.Tensor | None = None
    lstm_state: LSTMState | None = None
    clip_features: torch.Tensor | None = None
    known_score: torch.Tensor | None = None
    frame_features: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


class FeatureDropout(nn.Dropout1d):
    """Drops a feature from all frames of a clip or from none (Gal and Ghahramani, https://arxiv.org/abs/1512.05287).

    The LSTM sees no frame-to-frame change that is not there, and a sixteenth of the random numbers are drawn, which
    took a third of the training's time.

    Attributes:
        batch_size: Clips of a whole batch, if what it is given may be a part of one. With the same random state each
            clip of the batch then loses the same, whoever else is in the part.
        part: Which of the batch's equal parts it is given.
    """

    batch_size, part = 0, 0

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """`[B, T, H]` -> `[B, T, H]`."""
        if not self.training:
            return frames
        num_clips, _, num_features = frames.shape
        first = self.part * num_clips
        of_batch = F.dropout(frames.new_ones(max(self.batch_size, first + num_clips), 1, num_features), self.p)
        return frames * of_batch[first : first + num_clips]


class ResNetLSTMPreTrainedModel(PreTrainedModel):
    config: ResNetLSTMConfig
    config_class = ResNetLSTMConfig
    base_model_prefix = "resnet_lstm"
    main_input_name = "pixel_values"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["ResNetConvLayer", "ResNetShortCut"]  # noqa: RUF012 - a class constant, as in transformers
    # The loss is a mean over clips: the trainer need not tell how many there are.
    accepts_loss_kwargs = False

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As `PreTrainedModel.from_pretrained`. With a new classifier, what is known of the old classes goes.

        Weights are read from safetensors alone: a pickle can run code when it is loaded.
        """
        kwargs["use_safetensors"] = True
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        # Loading has replaced the parameters.
        model.base_model.backbone.requires_grad_(not model.base_model.backbone_is_frozen)
        new = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
        if "classifier.weight" in new:
            model.forget_classes()
        elif any(name.startswith("known_score.") for name in new):
            # The file holds nothing to tell it by.
            model.set_known_score(None, None)
        if any(name.startswith("class_statistics.") for name in new):
            model.set_class_statistics(None)
        return (model, info) if output_loading_info else model

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """As `PreTrainedModel.save_pretrained`. `AutoModel` finds its class too, whichever of the two was saved."""
        base_class = type(self.base_model)
        if base_class._auto_class is not None:
            name = f"{base_class.__module__.rpartition('.')[2]}.{base_class.__name__}"
            self.config.auto_map = {**(getattr(self.config, "auto_map", None) or {}), base_class._auto_class: name}
        super().save_pretrained(save_directory, *args, **kwargs)
        # safetensors lets only its user read a file, the configuration has the mode that the umask gives.
        configuration = Path(save_directory, "config.json")
        if configuration.is_file():
            for weights in configuration.parent.glob("*.safetensors"):
                shutil.copymode(configuration, weights)

    def get_input_embeddings(self) -> nn.Module:
        """The convolution that reads the pixels."""
        embedding: nn.Module = self.base_model.backbone.embedder.embedder.convolution
        return embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.base_model.backbone.embedder.embedder.convolution = value

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> ResNetLSTMPreTrainedModel:
        """`half()`, `bfloat16()`, `to(dtype)` and the like cast the convolutions; all else stays in float32."""
        self.base_model.forget_compiled()
        if recurse:
            for name, module in self.named_children():
                if name == "backbone":
                    apply_to_backbone(module, fn)
                else:
                    module._apply(fn if name == self.base_model_prefix else leaving_float32(fn))
        return super()._apply(fn, recurse=False)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if name.startswith("weight_hh"):
                    # Orthogonal recurrence keeps gradients alive over time (Saxe et al., https://arxiv.org/abs/1312.6120).
                    for gate in range(4):
                        units = slice(gate * module.hidden_size, (gate + 1) * module.hidden_size)
                        weight = torch.empty_like(parameter[units])
                        nn.init.orthogonal_(weight)
                        init.copy_(parameter[units], weight)
        elif isinstance(module, KnownScore):
            # As built: on the meta device what a buffer was built with is lost.
            for buffer in (module.centre, module.directions, module.sign_means):
                init.zeros_(buffer)
            init.ones_(module.sign_deviations)
            init.copy_(module.distance_statistics, torch.tensor([0.0, 1.0]))
        elif isinstance(module, ClassStatistics):
            for buffer in module.buffers():
                init.zeros_(buffer)

    def freeze_backbone(self) -> None:
        """Keep the backbone as it is: no gradient is computed for it and its BatchNorm statistics never move."""
        self._set_backbone_training(weights=False, batch_norm=False)

    def unfreeze_backbone(self, batch_norm: bool = False) -> None:
        """Train the backbone too.

        Args:
            batch_norm: Also let the BatchNorm statistics move. Frames of one clip are alike, so a batch of few clips
                says little about the statistics of video: leave it off unless the backbone is trained from scratch.
        """
        self._set_backbone_training(weights=True, batch_norm=batch_norm)

    def compile_for_inference(self, backbone: CompiledBackbone | None = None, precision: str = "auto") -> None:
        """Choose what computes the features in evaluation mode, where no gradient is wanted. Nothing saved changes.

        There is no need to call it: the first such call of a model folds its backbone, see `FoldedBackbone`, in the
        dtype of its weights. This does so beforehand, and in the precision that the device is fastest in. It holds
        until the model is trained, moved or cast.

        Args:
            backbone: Computes the features in place of the model's own weights, `[N, C, height, width]` -> `[N, D]`.
            precision: What the model's own weights compute the features in: "auto", "fp32", "bf16" or "fp16", see
                `device_precision`.

        Raises:
            ValueError: There is no such precision.
        """
        base: ResNetLSTMModel = self.base_model
        base.inference_dtype = backbone_dtype(precision, base.backbone.device)
        if backbone is not None:
            _compiled_backbones[base] = backbone
        elif can_be_folded(base.backbone):
            _compiled_backbones[base] = FoldedBackbone(
                base.backbone, base.inference_dtype, base.config.num_motion_stages
            )

    def _set_backbone_training(self, *, weights: bool, batch_norm: bool) -> None:
        base: ResNetLSTMModel = self.base_model
        base.backbone_is_frozen = not weights
        base.backbone_batch_norm_is_frozen = not batch_norm
        base.backbone.requires_grad_(weights)
        base.train(base.training)


class ResNetLSTMModel(ResNetLSTMPreTrainedModel):
    """The backbone and the LSTM without a classifier. The backbone is frozen until `unfreeze_backbone()`."""

    # All but the convolutions, whatever dtype a model is loaded in. These are searched for in the weights' names;
    # "lstm" alone would be found in the name of the model.
    _keep_in_fp32_modules_strict = [  # noqa: RUF012
        *("normalization", r"feature_norm\.running", "lstm_projection", r"lstm\.(?:weight|bias)_\w+"),
    ]

    def __init__(self, config: ResNetLSTMConfig) -> None:
        super().__init__(config)
        self.backbone = ResNetModel(config.backbone_config)
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):  # as in `apply_to_backbone`
                module.to(torch.promote_types(module.weight.dtype, torch.float32))
        # Its statistics are of training clips; without weights of its own it is a mere change of scale.
        self.feature_norm = nn.BatchNorm1d(config.hidden_size, affine=False, dtype=torch.float32)
        self.dropout = FeatureDropout(config.dropout)
        self.lstm = None
        if config.num_lstm_layers:
            self.lstm_projection = nn.Linear(config.hidden_size, config.lstm_input_size, dtype=torch.float32)
            self.lstm = nn.LSTM(
                config.lstm_input_size,
                config.lstm_hidden_size,
                config.num_lstm_layers,
                batch_first=True,
                dtype=torch.float32,
            )
        # Of the features where no gradient is wanted; None is the dtype of the backbone's weights.
        self.inference_dtype: torch.dtype | None = None
        self.gradient_checkpointing = False
        self.backbone_is_frozen = True
        self.backbone_batch_norm_is_frozen = True
        self.feature_norm_is_frozen = False
        self.post_init()
        self.freeze_backbone()

    @property
    def compiled_backbone(self) -> CompiledBackbone | None:
        """What computed the features last, or was chosen to; None where the backbone's modules do."""
        return _compiled_backbones.get(self)

    def train(self, mode: bool = True) -> ResNetLSTMModel:
        super().train(mode)
        if mode:
            self.forget_compiled()
        if self.backbone_batch_norm_is_frozen:
            # Without a gradient BatchNorm would still take up the statistics of each batch it sees.
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        if self.feature_norm_is_frozen:
            self.feature_norm.eval()
        return self

    def forget_compiled(self) -> None:
        """Undo `compile_for_inference`."""
        _compiled_backbones.pop(self, None)
        self.inference_dtype = None

    def set_feature_statistics(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Standardise what the head reads with these statistics of the training clips, and move them no more.

        Args:
            mean: `[H]`.
            variance: `[H]`.
        """
        statistics = {"running_mean": mean, "running_var": variance}
        self.feature_norm.load_state_dict(statistics, strict=False)
        self.feature_norm_is_frozen = True
        self.train(self.training)

    def extract_frame_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The backbone alone.

        Args:
            pixel_values: `[B, T, C, height, width]`, as the processor gives them.

        Returns:
            `[B, T, D]`.
        """
        features, _ = self._backbone_features(pixel_values, output_hidden_states=False)
        return features

    def _backbone_features(
        self, pixel_values: torch.Tensor, output_hidden_states: bool
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...] | None]:
        """`[B, T, C, height, width]` -> the features `[B, T, D]`, and the maps if they are wanted."""
        if pixel_values.ndim != 5:
            raise ValueError(f"pixel_values of shape {list(pixel_values.shape)}: [B, T, C, H, W] was expected.")
        batch_size, num_frames = pixel_values.shape[:2]
        frames = pixel_values.flatten(0, 1)  # [B * T, C, height, width]
        hidden_states = None
        features = None if output_hidden_states else self._inferred_features(frames)
        if features is None:
            frames = frames.to(self.backbone.dtype)
            # Convolutions run a quarter faster on a CPU in this layout; on a GPU it is the one of the tensor cores.
            frames = frames.contiguous(memory_format=torch.channels_last)
            if self.gradient_checkpointing and self.training and not output_hidden_states:
                features = self._checkpointed_backbone(frames)
            else:
                with self._chosen_precision(frames):
                    features, hidden_states = self.read_frames(frames)
        features = features.to(self._head_dtype).unflatten(0, (batch_size, num_frames))
        return features, hidden_states if output_hidden_states else None

    def read_frames(self, frames: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """What the backbone's own modules compute.

        Args:
            frames: `[N, C, height, width]`.

        Returns:
            The features `[N, D]`, and the maps they were read from: the embedder's and each stage's.
        """
        outputs = self.backbone(frames, output_hidden_states=True)
        features = features_of_maps(outputs.pooler_output, outputs.hidden_states, self.config.num_motion_stages)
        return features, outputs.hidden_states

    def _chosen_precision(self, frames: torch.Tensor) -> AbstractContextManager[Any]:
        """The precision that `compile_for_inference` chose, for a backbone that cannot be folded."""
        dtype = self.inference_dtype
        if dtype in (None, self.backbone.dtype) or not self._may_infer(frames):
            return nullcontext()
        return torch.autocast(frames.device.type, dtype)

    @property
    def _head_dtype(self) -> torch.dtype:
        """float32, unless all of the model was cast to float64."""
        running_mean = cast(torch.Tensor, self.feature_norm.running_mean)
        return running_mean.dtype

    def _inferred_features(self, frames: torch.Tensor) -> torch.Tensor | None:
        """`[N, C, height, width]` -> `[N, D]` by what was compiled; None where the backbone's modules have to."""
        if not self._may_infer(frames):
            return None
        compiled = self._compiled_for(frames.device)
        if compiled is None:
            return None
        if frames.device.type != "cpu":
            # To look for frames that repeat, the processor would have to wait for the device.
            return compiled(frames)
        # A frame that repeats costs nothing: a still, a slide, or a clip of fewer frames than are sampled.
        is_new = torch.ones(len(frames), dtype=torch.bool)
        # Most frames differ from the one before in a few pixels already.
        is_new[1:] = (frames[1:, :, ::16, ::16] != frames[:-1, :, ::16, ::16]).flatten(1).any(dim=1)
        for index in (~is_new).nonzero().flatten().tolist():
            is_new[index] = not torch.equal(frames[index], frames[index - 1])
        if is_new.all():
            return compiled(frames)
        return compiled(frames[is_new])[is_new.cumsum(dim=0) - 1]

    def _may_infer(self, frames: torch.Tensor) -> bool:
        return not (self.training or torch.is_grad_enabled()) and is_eager(frames)

    def _compiled_for(self, device: torch.device) -> CompiledBackbone | None:
        """What was chosen to compute features, or the backbone folded as it is now, where it can be folded."""
        compiled = _compiled_backbones.get(self)
        if compiled is not None and not isinstance(compiled, FoldedBackbone):
            return compiled
        dtype = self.inference_dtype
        if dtype is None:
            dtype = self.backbone.dtype
            if torch.is_autocast_enabled(device.type):
                dtype = torch.get_autocast_dtype(device.type)
        if compiled is None or compiled.dtype != dtype or not compiled.is_of(self.backbone):
            if not can_be_folded(self.backbone):
                _compiled_backbones.pop(self, None)
                return None
            compiled = FoldedBackbone(self.backbone, dtype, self.config.num_motion_stages)
            _compiled_backbones[self] = compiled
        return compiled

    def _checkpointed_backbone(self, frames: torch.Tensor) -> torch.Tensor:
        """As `read_frames`, without the maps; of the activations only those between residual layers are kept."""
        hidden_states = [self.backbone.embedder(frames)]
        for stage in self.backbone.encoder.stages:
            hidden_state = hidden_states[-1]
            for layer in stage.layers:
                hidden_state = self._gradient_checkpointing_func(layer.__call__, hidden_state)
            hidden_states.append(hidden_state)
        return features_of_maps(self.backbone.pooler(hidden_states[-1]), hidden_states, self.config.num_motion_stages)

    def magnitudes(self, frame_features: torch.Tensor, previous: torch.Tensor | None = None) -> torch.Tensor:
        """How large the mean of each last map is, and how large the change of each feature; not yet normalised.

        Of the bands only the change is read: where things are in a picture tells more of the place than of the action.

        Args:
            frame_features: `[B, T, D]`.
            previous: `[B, P, D]`, the features of the frames before the first of these, if there are any.

        Returns:
            `[B, T, H]`.
        """
        # What a model of more motion stages has computed begins with what this one reads.
        frame_features = frame_features[..., : self.config.frame_feature_size]
        magnitudes = [frame_features[..., : self.config.pooled_size].abs()]
        if self.config.temporal_change:
            if previous is None:
                previous = self._frames_before(frame_features)
            sequence = torch.cat([previous, frame_features], dim=1)  # [B, P + T, D]
            num_previous, num_frames = previous.shape[1], frame_features.shape[1]
            for lag in self.config.lags:
                earlier = sequence.narrow(1, num_previous - lag, num_frames)
                magnitudes.append((frame_features - earlier).abs())
        # The root keeps the few features that are strongly active from drowning the others.
        return (torch.cat(magnitudes, dim=-1) + _ROOT_EPS).sqrt()

    def normalised(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """What the head reads: each of `magnitudes` by its statistics, then each frame brought to one length.

        So no feature outweighs the others by its size, and no moment by how much goes on in it.

        Args:
            magnitudes: `[B, T, H]`.

        Returns:
            `[B, T, H]`.
        """
        standardised = self.feature_norm(magnitudes.flatten(0, 1)).view_as(magnitudes)
        return F.normalize(standardised, dim=-1) * magnitudes.shape[-1] ** 0.5

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        frame_features: torch.Tensor | None = None,
        lstm_state: LSTMState | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ResNetLSTMModelOutput:
        r"""
        Args:
            pixel_values (`torch.Tensor` of shape `[B, T, C, H, W]`, *optional*):
                Frames, as the processor gives them.
            frame_features (`torch.Tensor` of shape `[B, T, D]`, *optional*):
                Features of the frames from an earlier call, in place of `pixel_values`.
            lstm_state (`tuple` of three `torch.Tensor`, *optional*):
                Where the model goes on from: the state after the frames before these.
            output_hidden_states (`bool`, *optional*):
                Whether to return the backbone's maps too.
            return_dict (`bool`, *optional*):
                `False` gives a tuple.
        """
        hidden_states = None
        if pixel_values is not None and frame_features is None:
            if output_hidden_states is None:
                output_hidden_states = self.config.output_hidden_states
            frame_features, hidden_states = self._backbone_features(pixel_values, output_hidden_states)
        elif pixel_values is not None or frame_features is None:
            raise ValueError("Pass exactly one of pixel_values and frame_features.")
        last_hidden_state, lstm_state = self._read(frame_features.to(self._head_dtype), lstm_state)
        return ResNetLSTMModelOutput(
            last_hidden_state=last_hidden_state,
            frame_features=frame_features,
            lstm_state=lstm_state,
            hidden_states=hidden_states,
        )

    @without_autocast
    def _read(self, frame_features: torch.Tensor, lstm_state: LSTMState | None) -> tuple[torch.Tensor, LSTMState]:
        """All that comes after the backbone: `[B, T, D]` -> `[B, T, H + U]`, and the state after the last frame."""
        size = self.config.frame_feature_size
        if frame_features.shape[-1] < size:
            raise ValueError(f"frame_features of shape {list(frame_features.shape)}: [B, T, {size}] was expected.")
        # What a model of more motion stages has computed begins with what this one reads.
        frame_features = frame_features[..., :size]
        if lstm_state is None:
            lstm_state = self._initial_state(frame_features)
        hidden, cell, previous = (tensor.to(frame_features.dtype) for tensor in lstm_state)
        hidden_state = self.normalised(self.magnitudes(frame_features, previous.transpose(0, 1)))  # [B, T, H]
        if self.lstm is not None:
            lstm_input = self.lstm_projection(self.dropout(hidden_state))
            lstm_output, (hidden, cell) = read_in_order(self.lstm, lstm_input, hidden, cell)  # [B, T, U]
            hidden_state = torch.cat([hidden_state, lstm_output], dim=-1)  # [B, T, H + U]
        last_frames = torch.cat([previous, frame_features.transpose(0, 1)])[-len(previous) :]  # [P, B, D]
        return hidden_state, (hidden, cell, last_frames)

    def _initial_state(self, frame_features: torch.Tensor) -> LSTMState:
        batch_size = frame_features.shape[0]
        zeros = frame_features.new_zeros(self.config.num_lstm_layers, batch_size, self.config.lstm_hidden_size)
        return zeros, zeros, self._frames_before(frame_features).transpose(0, 1)

    def _frames_before(self, frame_features: torch.Tensor) -> torch.Tensor:
        """What stands for the frames `[B, P, D]` before the first, which has not changed since."""
        first = frame_features[:, :1]
        if self.config.change_lags is None:
            return torch.zeros_like(first)
        return first.expand(-1, max(self.config.lags), -1)


class ResNetLSTMForVideoClassification(ResNetLSTMPreTrainedModel):
    """
    ResNet-LSTM with classifiers on every frame, one of what the head reads and one of the LSTM's output, whose logits
    are added; the clip's logits are the mean of its frames' logits.

    Example:

    ```python
    >>> from resnet_lstm import ResNetLSTMForVideoClassification

    >>> model = ResNetLSTMForVideoClassification.from_backbone("microsoft/resnet-50", num_labels=25)
    >>> logits = model(pixel_values).logits  # [B, 25]
    ```
    """

    # Beside those of `ResNetLSTMModel`.
    _keep_in_fp32_modules_strict = [r"classifier", r"lstm_classifier", r"known_score", r"class_statistics"]  # noqa: RUF012

    def __init__(self, config: ResNetLSTMConfig) -> None:
        super().__init__(config)
        self.resnet_lstm = ResNetLSTMModel(config)
        self.dropout = FeatureDropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels, dtype=torch.float32)
        self.lstm_classifier = None
        if config.num_lstm_layers:
            self.lstm_classifier = nn.Linear(
                config.lstm_hidden_size, config.num_labels, bias=False, dtype=torch.float32
            )
        self.known_score = None
        if config.known_threshold is not None:
            self.known_score = KnownScore(config.hidden_size, config.num_labels, config.background_label_id)
        self.class_statistics = None
        if config.num_class_directions:
            self.class_statistics = ClassStatistics(config.hidden_size, config.num_labels, config.num_class_directions)
        self.classifier_is_fitted = False
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self.lstm_classifier:
            # The LSTM has no say until training gives it one.
            init.zeros_(module.weight)

    def set_classifier(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Give the classifier of what the head reads these weights, and train only the LSTM's part from now on.

        Args:
            weight: `[L, H]`.
            bias: `[L]`.
        """
        self.classifier.weight.data.copy_(weight)
        self.classifier.bias.data.copy_(bias)
        self.classifier.requires_grad_(False)
        self.classifier_is_fitted = True

    def set_known_score(self, known_score: KnownScore | None, threshold: float | None) -> None:
        """Tell from now on how probable it is that a clip shows one of the model's actions; or no more, with None.

        Args:
            known_score: With its statistics set.
            threshold: The `known_threshold` of the configuration.
        """
        self.known_score = None if known_score is None else known_score.to(self.device)
        self.config.known_threshold = threshold

    def set_class_statistics(self, statistics: ClassStatistics | None) -> None:
        """Keep what the model can be taught further classes by; or nothing any more, with None."""
        self.class_statistics = None if statistics is None else statistics.to(self.device)
        self.config.num_class_directions = 0 if statistics is None else len(statistics.directions)

    def forget_classes(self) -> None:
        """Forget all that was learned of the classes as they were, when a new classifier has taken their place."""
        self.set_known_score(None, None)
        self.set_class_statistics(None)
        self.config.early_exit_score = None
        self.config.background_label_id = None
        self.config.temperature = 1.0

    @without_autocast
    def known_probability(self, clip_features: torch.Tensor) -> torch.Tensor | None:
        """The `known_score` `[B]` of clips by their `clip_features` `[B, H]`; None where the model does not tell."""
        if self.known_score is None:
            return None
        return self.known_score(clip_features, self.classifier(clip_features) / self.config.temperature)

    @without_autocast
    def frame_logits(self, last_hidden_state: torch.Tensor) -> torch.Tensor:
        """What each frame adds to the decision, `[B, T, L]`, by the `last_hidden_state` of `ResNetLSTMModel`."""
        hidden_state, lstm_output = last_hidden_state.tensor_split([self.config.hidden_size], dim=-1)
        # A classifier that is not trained has nothing to gain from dropout.
        hidden_state = hidden_state if self.classifier_is_fitted else self.dropout(hidden_state)
        logits = self.classifier(hidden_state)
        if self.lstm_classifier is not None:
            logits = logits + self.lstm_classifier(self.dropout(lstm_output))
        return logits / self.config.temperature

    @classmethod
    def from_backbone(
        cls, backbone: str | os.PathLike[str] | TorchvisionResNet, **config_kwargs: Any
    ) -> ResNetLSTMForVideoClassification:
        """A model with a pretrained backbone and an untrained head.

        Args:
            backbone: A directory or Hub id in the layout of `microsoft/resnet-50`, or a ResNet of torchvision with its
                weights, such as `torchvision.models.resnet50(weights="DEFAULT")`.
            **config_kwargs: Fields of `ResNetLSTMConfig`, such as `num_labels` or `id2label`.

        Raises:
            OSError: There is no such directory or repository.
            ValueError: It holds no ResNet that fits.
        """
        if isinstance(backbone, TorchvisionResNet):
            backbone_config, state_dict = from_torchvision(backbone)
        else:
            resnet, loading = ResNetModel.from_pretrained(
                backbone, dtype=torch.float32, output_loading_info=True, use_safetensors=True
            )
            if loading["missing_keys"] or loading["mismatched_keys"]:
                raise ValueError(f"{backbone}: not a ResNet in the layout of microsoft/resnet-50.")
            backbone_config, state_dict = resnet.config, resnet.state_dict()
        model = cls(ResNetLSTMConfig(backbone_config=backbone_config.to_dict(), **config_kwargs))
        model.resnet_lstm.backbone.load_state_dict(state_dict)
        return model

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        frame_features: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        lstm_state: LSTMState | None = None,
        output_frame_features: bool = False,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ResNetLSTMForVideoClassificationOutput:
        r"""
        Args:
            pixel_values (`torch.Tensor` of shape `[B, T, C, H, W]`, *optional*):
                Frames, as the processor gives them.
            frame_features (`torch.Tensor` of shape `[B, T, D]`, *optional*):
                Features of the frames from an earlier call, in place of `pixel_values`.
            labels (`torch.LongTensor` of shape `[B]`, *optional*):
                The right labels, in `[0, L)`.
            lstm_state (`tuple` of three `torch.Tensor`, *optional*):
                Where the model goes on from: the state after the frames before these.
            output_frame_features (`bool`, *optional*, defaults to `False`):
                Whether to return the features of the frames.
            output_hidden_states (`bool`, *optional*):
                Whether to return the backbone's maps too.
            return_dict (`bool`, *optional*):
                `False` gives a tuple.
        """
        outputs = self.resnet_lstm(pixel_values, frame_features, lstm_state, output_hidden_states, return_dict=True)
        clip_features = outputs.last_hidden_state[..., : self.config.hidden_size].mean(dim=1)  # [B, H]
        frame_logits = self.frame_logits(outputs.last_hidden_state)  # [B, T, L]
        logits = frame_logits.mean(dim=1)  # [B, L]
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return ResNetLSTMForVideoClassificationOutput(
            loss=loss,
            logits=logits,
            frame_logits=frame_logits,
            lstm_state=outputs.lstm_state,
            clip_features=clip_features,
            known_score=self.known_probability(clip_features),
            frame_features=outputs.frame_features if output_frame_features else None,
            hidden_states=outputs.hidden_states,
        )


__all__ = [
    "ResNetLSTMForVideoClassification",
    "ResNetLSTMForVideoClassificationOutput",
    "ResNetLSTMModel",
    "ResNetLSTMModelOutput",
    "ResNetLSTMPreTrainedModel",
]
