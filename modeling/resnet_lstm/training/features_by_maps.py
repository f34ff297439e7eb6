"""The features of a model whose last stage was tuned, by the maps that were kept: a fifth of the backbone's work."""

from __future__ import annotations

import torch
from tqdm.auto import tqdm

from ..accelerator import own_share
from ..device_precision import backbone_dtype
from ..features import UNIFORM, MapCache, training_views
from ..folded_backbone import FoldedBackbone
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from .run import Run


@torch.inference_mode()
def keep_features(run: Run, model: ResNetLSTMForVideoClassification, maps: MapCache) -> None:
    """Put what a model makes of the clips it is trained with into its feature cache, as far as their maps are there.

    Args:
        run: The run; all of its processes must make this call.
        model: Its backbone differs from the one that made the maps in the last stage alone.
        maps: Of the pretrained backbone.
    """
    model.eval()
    cache, device = run.feature_cache(model), run.accelerator.device
    base = model.resnet_lstm
    folded = FoldedBackbone(base.backbone, backbone_dtype(run.precision, device), model.config.num_motion_stages)
    views = training_views(run.options.num_views, run.settings.flip)
    wanted = [
        (clip.sha256, view)
        for split in run.splits
        for clip in run.labelled_clips(split, model.config)[0]
        for view in (views if split == "train" or run.settings.refit else [UNIFORM])
    ]
    missing = [job for job in dict.fromkeys(wanted) if maps.has(*job) and not cache.has(*job)]
    run.accelerator.wait_for_everyone()
    share = missing[own_share()]
    for sha256, view in tqdm(share, desc="features by maps", unit="clip", disable=not run.accelerator.is_main_process):
        of_clip, bands = (tensor.to(device) for tensor in maps.load(sha256, view))
        pooled = folded.last_stage(of_clip.permute(0, 3, 1, 2)).float()
        cache.save(sha256, view, torch.cat([pooled, bands], dim=1))
    run.accelerator.wait_for_everyone()
