"""Frame features: computed once, kept on disk, the same as the model computes itself."""

from ..cache_location import default_cache_dir
from .cache import FeatureCache, FeaturesInMemory
from .extraction import ClipFile, Extraction, clip_files, extract_features
from .map_cache import MapCache
from .views import UNIFORM, View, training_views

__all__ = [
    "UNIFORM",
    "ClipFile",
    "Extraction",
    "FeatureCache",
    "FeaturesInMemory",
    "MapCache",
    "View",
    "clip_files",
    "default_cache_dir",
    "extract_features",
    "training_views",
]
