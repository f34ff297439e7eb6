"""Cards, and the way of a model, a dataset or a Space to the Hub."""

from .dataset_card import dataset_card
from .dataset_files import prepare_dataset
from .errors import PublishingError
from .facts import DatasetFacts, ModelFacts, dataset_facts
from .model_card import model_card, write_model_card
from .model_files import prepare_model
from .publication import Publication
from .space_files import prepare_space, space_folder, stage_space
from .upload import Published, publish

__all__ = [
    "DatasetFacts",
    "ModelFacts",
    "Publication",
    "Published",
    "PublishingError",
    "dataset_card",
    "dataset_facts",
    "model_card",
    "prepare_dataset",
    "prepare_model",
    "prepare_space",
    "publish",
    "space_folder",
    "stage_space",
    "write_model_card",
]
