"""What Hugging Face Inference Endpoints run: a clip in a request -> its best labels.

Published beside the weights. See https://huggingface.co/docs/inference-endpoints/guides/custom_handler.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import torch
from transformers import AutoModelForVideoClassification, AutoVideoProcessor


class EndpointHandler:
    """A model in memory, answering one request after the other.

    Args:
        path: The folder that this file is in.
    """

    def __init__(self, path: str = "") -> None:
        # This file is code of the same repository: whoever runs it has chosen to run the files beside it.
        self.processor = AutoVideoProcessor.from_pretrained(path, trust_remote_code=True)
        self.model = AutoModelForVideoClassification.from_pretrained(path, trust_remote_code=True).eval()
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def __call__(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Classify one clip.

        Args:
            data: `{"inputs": CLIP, "parameters": {"top_k": 5}}`. The clip is a file's bytes, or these in base64. No
                path and no URL: the server opens nothing on behalf of a request.

        Returns:
            `[{"label": str, "score": float}, ...]`, best first, as `pipeline("video-classification")` gives them.

        Raises:
            ValueError: There is no clip, it cannot be read, or `top_k` is no positive number.
        """
        top_k = (data.get("parameters") or {}).get("top_k", 5)
        if not isinstance(top_k, int) or top_k < 1:
            raise ValueError(f"top_k={top_k!r}: must be 1 or more.")
        inputs = self.processor(_clip_bytes(data.get("inputs")), return_tensors="pt").to(self.model.device)
        scores = self.model(**inputs).logits[0].softmax(-1)
        best = scores.topk(min(top_k, len(scores)))
        id2label = self.model.config.id2label
        return [
            {"label": id2label[label], "score": score}
            for score, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]


def _clip_bytes(clip: Any) -> bytes:
    if isinstance(clip, bytes):
        return clip
    if not isinstance(clip, str) or not clip:
        raise ValueError(f"inputs: must be a clip's bytes, or these in base64, not {type(clip).__name__}.")
    try:
        return base64.b64decode(clip, validate=True)
    except binascii.Error as error:
        raise ValueError(f"inputs: not base64 ({error}). A path or a URL is not opened.") from error
