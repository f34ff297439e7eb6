"""What is published beside the weights."""

from .model_card import DatasetFacts, ModelFacts, write_model_card

__all__ = ["DatasetFacts", "ModelFacts", "write_model_card"]
