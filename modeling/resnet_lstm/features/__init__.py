"""Frame features: computed once, kept on disk, the same as the model computes itself."""

from ..cache_location import default_cache_dir
from .cache import FeatureCache, FeaturesInMemory
from .extraction import ClipFile, Extraction, clip_files, extract_features
from .feature_shards import DEFAULT_BUFFER_BYTES, FeatureChunk, FeatureShards, is_feature_shards
from .map_cache import MapCache
from .ray_extraction import extract_shards_by_ray
from .shard_extraction import ShardExtraction, ShardExtractor, extract_shards
from .views import UNIFORM, View, training_views

__all__ = [
    "DEFAULT_BUFFER_BYTES",
    "UNIFORM",
    "ClipFile",
    "Extraction",
    "FeatureCache",
    "FeatureChunk",
    "FeatureShards",
    "FeaturesInMemory",
    "MapCache",
    "ShardExtraction",
    "ShardExtractor",
    "View",
    "clip_files",
    "default_cache_dir",
    "extract_features",
    "extract_shards",
    "extract_shards_by_ray",
    "is_feature_shards",
    "training_views",
]
