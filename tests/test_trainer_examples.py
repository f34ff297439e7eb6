"""The examples of docs/trainer.md, as they stand there, on generated clips and a small backbone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.data import VideoFolder

PAGE = Path(__file__).parents[1] / "docs" / "trainer.md"


@pytest.fixture(scope="module")
def ran(
    tiny_backbone: Path, tiny_dataset: VideoFolder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The folder that all examples ran in, one after the other, and the names they defined."""
    root = tmp_path_factory.mktemp("examples")
    examples = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for name, local in (("microsoft/resnet-50", tiny_backbone), ("data/mine", tiny_dataset.root)):
        assert name in examples
        examples = examples.replace(name, str(local))
    examples = examples.replace(
        "ResNetLSTMVideoProcessor()", 'ResNetLSTMVideoProcessor(size={"height": 32, "width": 32})'
    )
    names: dict[str, Any] = {"__name__": "examples"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("ACCELERATE_USE_CPU", "1")
        exec(compile(examples, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    return root, names


def test_what_trainer_saves_is_a_model_like_any_other(
    ran: tuple[Path, dict[str, Any]], tiny_dataset: VideoFolder
) -> None:
    root, _ = ran
    clip = tiny_dataset.path("test", tiny_dataset.clips("test")[0])
    answers = pipeline("video-classification", model=str(root / "runs/trainer/model"))(str(clip))
    assert {answer["label"] for answer in answers} == {"brighten", "darken"}


def test_trainer_evaluates_by_the_logits(ran: tuple[Path, dict[str, Any]], tiny_dataset: VideoFolder) -> None:
    root, names = ran
    checkpoints = sorted((root / "runs/trainer").glob("checkpoint-*/trainer_state.json"))
    assert checkpoints
    assert '"eval_accuracy"' in checkpoints[-1].read_text()
    scores = names["merged"](names["Clips"]("test")[0]["pixel_values"][None]).logits
    assert scores.shape == (1, len(tiny_dataset.labels))


def test_lora_learns_in_the_backbone_and_merges_into_a_plain_model(ran: tuple[Path, dict[str, Any]]) -> None:
    root, _ = ran
    before, after = (load_file(root / f"runs/{name}/model/model.safetensors") for name in ("trainer", "lora"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("backbone" in name for name in changed)
    assert all("convolution" in name or "classifier" in name for name in changed)
    assert ResNetLSTMForVideoClassification.from_pretrained(root / "runs/lora/model").config.num_labels == 2
