"""What is published beside the weights."""

from .model_card import DatasetFacts, ModelFacts, write_model_card
from .space import stage_space

__all__ = ["DatasetFacts", "ModelFacts", "stage_space", "write_model_card"]
