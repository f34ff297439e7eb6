"""The training loop: accelerate, validation after each epoch, early stopping, and a resume that repeats the run.

Nothing random depends on what ran before: the order of the clips follows from the seed and the epoch, their
augmentation from the seed, the epoch and the clip, dropout from the seed and the step. So a run that was killed and
resumed ends with the weights of an unbroken one.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from accelerate import Accelerator, skip_first_batches
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel, get_scheduler

from ..evaluation.calibration import LEAST_CLIPS_FOR_TEMPERATURE, fit_temperature
from ..evaluation.metrics import compute_metrics
from ..whole_file import written_whole
from .checkpoint import (
    load_optimizer_tensors,
    load_tensors,
    load_trained_weights,
    optimizer_tensors,
    save_tensors,
    trained_weights,
)
from .datasets import ClipDataset, FeatureDataset, MapDataset
from .early_stopping import EarlyStopping
from .settings import TrainingSettings
from .shared_batches import check_batch_size, mean_of_shared_batch, share_dropout
from .window_order import order_of

logger = logging.getLogger(__name__)

CHECKPOINT_FILE = "checkpoint.safetensors"
BEST_FILE = "best.safetensors"
LOG_FILE = "training_log.jsonl"
# The epoch number of the weights that a model comes with.
START = -1


class ResumeError(ValueError):
    """A checkpoint does not belong to the run that shall go on from it."""


class DivergenceError(ValueError):
    """The training loss is no finite number any more."""


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: The epoch under way, from 0.
        batches: Batches of it that are done.
        loss_sum: Sum of the training loss over the clips of these batches.
        num_clips: How many clips those were.
        seconds: What the run has taken so far, interruptions left out.
        history: One record for each epoch that is done.
        start: Validation figures before the first epoch, where they were taken.
    """

    epoch: int = 0
    batches: int = 0
    loss_sum: float = 0.0
    num_clips: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, float] | None = None


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended; the model holds the weights of the best epoch.

    Attributes:
        history: A record for each epoch: `epoch`, `train_loss`, `learning_rate`, `seconds` and, where there are
            validation clips, `validation_loss`, `validation_top1`, `validation_macro_f1`.
        best_epoch: The epoch whose weights were kept; None where the start was kept.
        seconds: Training time, interruptions left out.
        start: The validation figures before the first epoch, where the start may be kept.
        validation: `loss`, `top1` and `macro_f1` of what was kept on the validation clips, before it was trained on
            them too; None where there are none.
    """

    history: list[dict[str, Any]]
    best_epoch: int | None
    seconds: float
    start: dict[str, float] | None = None
    validation: dict[str, float] | None = None


class TrainingLoop:
    """One run.

    Args:
        model: Called with a batch without its labels; its output has `logits` `[B, L]`. Its trained weights are those
            with a gradient.
        train_dataset: Clips to learn from.
        validation_dataset: Clips that choose the best epoch; without them every epoch is trained and the last is kept.
        class_weights: `[L]`, from `class_weights`.
        settings: The settings.
        output_dir: Where checkpoint, best weights and log go.
        accelerator: Devices, processes, precision and trackers.
        num_workers: Processes that load ahead.
        split_scheme: How the dataset was split; stands in every line of the log.
        log_prefix: Put before the names of the figures that trackers get.
        run_facts: What else makes this run this run; a checkpoint of a run with other facts is refused.
        start_is_candidate: Whether the weights that the model comes with are kept if no epoch is better.
        optimized: The optimizer's groups of parameters; by default `parameter_groups` of the model.
        penalty: Gives what is added to the loss of each batch.
    """

    def __init__(
        self,
        model: nn.Module,
        train_dataset: FeatureDataset | ClipDataset | MapDataset,
        validation_dataset: FeatureDataset | ClipDataset | None,
        class_weights: torch.Tensor,
        settings: TrainingSettings,
        output_dir: Path,
        accelerator: Accelerator,
        num_workers: int = 0,
        split_scheme: str = "unknown",
        log_prefix: str = "",
        run_facts: dict[str, Any] | None = None,
        start_is_candidate: bool = False,
        optimized: list[dict[str, Any]] | None = None,
        penalty: Callable[[], torch.Tensor] | None = None,
    ) -> None:
        self.settings = settings
        self.output_dir = output_dir
        self.accelerator = accelerator
        self.train_dataset, self.validation_dataset = train_dataset, validation_dataset
        # JSON and back, so that facts compare equal to those of a checkpoint.
        self.run_facts = json.loads(json.dumps({"settings": asdict(settings), **(run_facts or {})}))
        # How often a run is saved does not change how it ends.
        del self.run_facts["settings"]["checkpoint_interval_seconds"]
        self.split_scheme = split_scheme
        self.log_prefix = log_prefix
        self.penalty = penalty
        self.start_is_candidate = start_is_candidate and validation_dataset is not None
        if settings.gradient_checkpointing:
            cast(PreTrainedModel, model).gradient_checkpointing_enable({"use_reentrant": False})

        check_batch_size(settings.train_batch_size, accelerator)
        share_dropout(model, settings.train_batch_size, accelerator)
        loading: dict[str, Any] = {
            "batch_size": settings.train_batch_size,
            "num_workers": num_workers,
            "pin_memory": accelerator.device.type == "cuda",
        }
        order = order_of(train_dataset)
        train_loader = DataLoader(train_dataset, shuffle=order is None, sampler=order, **loading)
        # Fused, a step on a CPU takes a quarter of the time.
        optimizer = torch.optim.AdamW(optimized or parameter_groups(model, settings), fused=True)
        self.model: nn.Module
        self.model, self.optimizer, self.train_loader = accelerator.prepare(model, optimizer, train_loader)
        self.validation_loader = None
        if validation_dataset is not None:
            self.validation_loader = accelerator.prepare(DataLoader(validation_dataset, **loading))
        self.class_weights = class_weights.to(accelerator.device)
        self.steps_per_epoch = math.ceil(len(self.train_loader) / settings.gradient_accumulation_steps)
        num_steps = self.steps_per_epoch * settings.num_train_epochs
        # Not prepared: accelerate would step it once for every process.
        self.scheduler = get_scheduler(
            settings.lr_scheduler_type, optimizer, round(settings.warmup_ratio * num_steps), num_steps
        )
        self.early_stopping = EarlyStopping(
            settings.early_stopping_patience, greater_is_better=settings.metric_for_best_model != "loss"
        )
        self.progress = Progress()
        self.last_checkpoint_at = time.monotonic()

    @property
    def unwrapped_model(self) -> nn.Module:
        return self.accelerator.unwrap_model(self.model)

    def run(self, resume: bool = False, num_epochs: int | None = None) -> TrainingResult:
        """Train until the last epoch or until patience runs out, and leave the best weights in the model.

        Args:
            resume: Go on from the checkpoint in `output_dir`, if there is one.
            num_epochs: Break off after so many; the learning rates are those of the whole run.

        Raises:
            ResumeError: The checkpoint is of a run with other settings or data.
            CheckpointError: It is damaged, or of another version of this program.
            DivergenceError: The loss is not finite.
        """
        if resume and (self.output_dir / CHECKPOINT_FILE).is_file():
            self._load_checkpoint()
        started = time.monotonic() - self.progress.seconds
        if self.start_is_candidate and not (self.progress.epoch or self.progress.batches):
            self._take_start()
        num_epochs = num_epochs or self.settings.num_train_epochs
        total = num_epochs * len(self.train_loader)
        done = self.progress.epoch * len(self.train_loader) + self.progress.batches
        with tqdm(
            total=total, initial=done, unit="batch", desc="training", disable=not self.accelerator.is_main_process
        ) as bar:
            while self.progress.epoch < num_epochs and not self.early_stopping.should_stop:
                self._train_epoch(bar, started)
                self._finish_epoch(bar, started)
        self.accelerator.wait_for_everyone()
        best_weights, _ = load_tensors(self.output_dir / BEST_FILE)
        load_trained_weights(self.unwrapped_model, best_weights)
        best_epoch = self.early_stopping.best_epoch
        if self.validation_loader is None:
            best_epoch = self.progress.epoch - 1
        return TrainingResult(
            self.progress.history,
            None if best_epoch == START else best_epoch,
            self.progress.seconds,
            self.progress.start,
        )

    def _take_start(self) -> None:
        self.progress.start = {f"validation_{name}": value for name, value in self._validate().items()}
        self.early_stopping.update(START, self.progress.start[f"validation_{self.settings.metric_for_best_model}"])
        if self.accelerator.is_main_process:
            save_tensors(self.output_dir / BEST_FILE, trained_weights(self.unwrapped_model), {})

    def _train_epoch(self, bar: tqdm[Any], started: float) -> None:
        progress, settings, accelerator = self.progress, self.settings, self.accelerator
        self.model.train()
        self.train_dataset.set_epoch(progress.epoch)
        loader = skip_first_batches(self.train_loader, progress.batches) if progress.batches else self.train_loader
        loader.set_epoch(progress.epoch)
        for batch in map(self.train_dataset.to_inputs, loader):
            step = progress.epoch * len(self.train_loader) + progress.batches
            torch.manual_seed(settings.seed * 1_000_003 + step)
            with accelerator.accumulate(self.model):
                labels = batch.pop("labels")
                corrections = batch.pop("logit_corrections", 0.0)
                losses = F.cross_entropy(
                    self.model(**batch).logits.float() + corrections,
                    labels,
                    weight=self.class_weights,
                    reduction="none",
                    label_smoothing=settings.label_smoothing,
                )
                loss, num_clips = mean_of_shared_batch(losses, labels, self.class_weights, accelerator)
                if self.penalty is not None:
                    loss = loss + self.penalty()
                accelerator.backward(loss)
                if accelerator.sync_gradients and settings.max_grad_norm:
                    accelerator.clip_grad_norm_(self.model.parameters(), settings.max_grad_norm)
                self.optimizer.step()
                if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                    self.scheduler.step()
                self.optimizer.zero_grad()
            progress.batches += 1
            progress.loss_sum += accelerator.reduce(loss.detach(), "mean").item() * num_clips
            progress.num_clips += num_clips
            if not math.isfinite(progress.loss_sum):
                raise DivergenceError(
                    f"epoch {progress.epoch}, batch {progress.batches}: the loss is {loss.item()}. "
                    f"Try a lower learning rate than {settings.learning_rate}."
                )
            progress.seconds = time.monotonic() - started
            bar.update()
            if accelerator.sync_gradients and self._checkpoint_is_due():
                self._save_checkpoint()

    def _finish_epoch(self, bar: tqdm[Any], started: float) -> None:
        progress = self.progress
        record: dict[str, Any] = {
            "epoch": progress.epoch,
            "train_loss": progress.loss_sum / progress.num_clips,
            **{f"validation_{name}": value for name, value in self._validate().items()},
            "learning_rate": self.scheduler.get_last_lr()[0],
            "split_scheme": self.split_scheme,
        }
        progress.seconds = record["seconds"] = time.monotonic() - started
        progress.history.append(record)
        is_best = self.validation_loader is None or self.early_stopping.update(
            progress.epoch, record[f"validation_{self.settings.metric_for_best_model}"]
        )
        progress.epoch, progress.batches, progress.loss_sum, progress.num_clips = progress.epoch + 1, 0, 0.0, 0
        figures = {f"{self.log_prefix}{name}": v for name, v in record.items() if isinstance(v, float)}
        self.accelerator.log(figures, step=record["epoch"])
        if self.accelerator.is_main_process:
            # The checkpoint comes last: whatever is lost before it is done again, the same.
            if is_best:
                save_tensors(self.output_dir / BEST_FILE, trained_weights(self.unwrapped_model), {})
            self._write_log()
        self._save_checkpoint()
        shown = "train_loss" if self.validation_loader is None else "validation_loss"
        bar.set_postfix({"epoch": record["epoch"], shown: f"{record[shown]:.3f}"})

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        if self.validation_loader is None:
            return {}
        self.model.eval()
        assert self.validation_dataset is not None  # noqa: S101 - it has a loader
        all_logits, all_labels = [], []
        for batch in map(self.validation_dataset.to_inputs, self.validation_loader):
            outputs = self.model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
            gathered = self.accelerator.gather_for_metrics((outputs.logits.float(), batch["labels"]))
            all_logits.append(gathered[0].cpu())
            all_labels.append(gathered[1].cpu())
        labels = torch.cat(all_labels).numpy()
        logits = torch.cat(all_logits).numpy()
        metrics = compute_metrics(
            logits,
            labels,
            groups=[str(index) for index in range(len(labels))],
            label_names=[str(index) for index in range(len(self.class_weights))],
        )
        figures = {"loss": metrics.loss, "top1": metrics.top1, "macro_f1": metrics.macro_f1}
        if len(labels) >= LEAST_CLIPS_FOR_TEMPERATURE:
            figures["temperature"] = fit_temperature(logits, labels)
        return figures

    def _write_log(self) -> None:
        with written_whole(self.output_dir / LOG_FILE) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in self.progress.history))

    def _checkpoint_is_due(self) -> bool:
        return time.monotonic() - self.last_checkpoint_at >= self.settings.checkpoint_interval_seconds

    def _save_checkpoint(self) -> None:
        self.last_checkpoint_at = time.monotonic()
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{name}": tensor for name, tensor in trained_weights(self.unwrapped_model).items()}
        tensors |= {
            f"optimizer.{name}": tensor for name, tensor in optimizer_tensors(self.optimizer.optimizer).items()
        }
        scaler = self.accelerator.scaler
        state = {
            "run_facts": self.run_facts,
            "progress": asdict(self.progress),
            "early_stopping": asdict(self.early_stopping),
            "scheduler": self.scheduler.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        save_tensors(self.output_dir / CHECKPOINT_FILE, tensors, state)

    def _load_checkpoint(self) -> None:
        path = self.output_dir / CHECKPOINT_FILE
        tensors, state = load_tensors(path)
        differing = _differing(self.run_facts, state["run_facts"])
        if differing:
            raise ResumeError(f"{path}: belongs to another run ({differing}). Resume with the same, or overwrite it.")
        weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        load_trained_weights(self.unwrapped_model, weights)
        self.scheduler.load_state_dict(state["scheduler"])
        load_optimizer_tensors(
            self.optimizer.optimizer,
            {name.removeprefix("optimizer."): t for name, t in tensors.items() if name.startswith("optimizer.")},
        )
        for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.early_stopping = EarlyStopping(**state["early_stopping"])
        logger.info("resumed at epoch %d, batch %d", self.progress.epoch, self.progress.batches)


def parameter_groups(model: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """The weights to train: the backbone at its own learning rate, biases and norms without weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = settings.backbone_learning_rate if ".backbone." in name else settings.learning_rate
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def _differing(now: dict[str, Any], then: dict[str, Any], prefix: str = "") -> str:
    """The facts in which two runs differ, for a message."""
    found = []
    for name in sorted(now.keys() | then.keys()):
        ours, theirs = now.get(name), then.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            if nested := _differing(ours, theirs, f"{prefix}{name}."):
                found.append(nested)
        elif ours != theirs:
            found.append(f"{prefix}{name}: {theirs} there, {ours} here")
    return "; ".join(found)
