"""What a frame of a camera costs, which comes alone, against its share of a clip whose frames come together."""

from __future__ import annotations

from pathlib import Path

import torch

from ..inference import LiveSession, leave_cores_to
from ..video_decoding import decode_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .clips import Models
from .figures import Figure
from .turns import Contender, ratios, time_in_turns


def time_live(models: Models, processor: ResNetLSTMVideoProcessor, file: Path, num_rounds: int) -> list[Figure]:
    """Time both on the same decoded frames, from the picture to the logits, in each runtime by itself.

    Args:
        models: To compare, by the names of their runtimes.
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
        def together(_: int, model: torch.nn.Module = model) -> object:
            return model(**processor(frames, do_sample_frames=False, return_tensors="pt"))

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
