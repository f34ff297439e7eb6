"""What the frames of a camera and of a long video cost, against those of a clip and against the video's own length."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from ..inference import LiveSession, label_timeline, leave_cores_to
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_decoding import decode_video, probe_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .clips import Models
from .figures import Figure
from .turns import Contender, ratios, time_in_turns


def time_live(models: Models, processor: ResNetLSTMVideoProcessor, file: Path, num_rounds: int) -> list[Figure]:
    """Time a frame that comes alone against one of a clip whose frames come together, from picture to logits.

    Args:
        models: To compare; the names begin with their runtimes.
        processor: Their processor.
        file: A clip.
        num_rounds: How many rounds.
    """
    frames = decode_video(file, processor.num_frames).frames  # [T, H, W, 3]
    num_threads = torch.get_num_threads()
    figures = []
    for title, model in models.items():
        session = LiveSession(model, processor)

        @torch.inference_mode()
        def together(_: int, model: ResNetLSTMForVideoClassification = model) -> object:
            inputs = processor(frames, do_sample_frames=False, return_tensors="pt").to(model.device)
            return model(**inputs).logits.cpu()

        def one_by_one(_: int, session: LiveSession = session) -> object:
            session.reset()
            return [session.update(frame, float(index)) for index, frame in enumerate(frames)]

        share, live = f"its share of a clip, {title}", f"in a live session, {title}"
        contenders = [Contender(share, together, len(frames)), Contender(live, one_by_one, len(frames))]
        leave_cores_to(title.split()[0])
        seconds = time_in_turns(contenders, num_rounds, "live")
        torch.set_num_threads(num_threads)
        figures += ratios(f"a frame, {title}", seconds, share, unit="frame")
    return figures


def time_timelines(models: Models, processor: ResNetLSTMVideoProcessor, video: Path, fps: float) -> list[Figure]:
    """Time the timeline of a long video, from its file to its segments, once in each runtime.

    Args:
        models: To compare, by the names of their runtimes.
        processor: Their processor.
        video: The video.
        fps: Frames a second to look at.
    """
    info = probe_video(video)
    part = f"timeline of {info.seconds / 60:.0f} minutes at {info.height}p, {fps:g} frames a second"
    length = np.array([info.seconds])
    own = "the video itself"
    figures = [Figure.of(part, own, length, own, length, "video")]
    num_threads = torch.get_num_threads()
    for title, model in models.items():
        leave_cores_to(title.split()[0])
        started = time.perf_counter()
        label_timeline(model, processor, video, fps=fps)
        seconds = np.array([time.perf_counter() - started])
        torch.set_num_threads(num_threads)
        figures.append(Figure.of(part, title, seconds, own, length, "video"))
    return figures
