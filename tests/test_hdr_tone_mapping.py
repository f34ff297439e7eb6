"""HDR clips, coded by the formulas of BT.2100 from known light, against the ordinary video of the same light."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from resnet_lstm.hdr_tone_mapping import REFERENCE_WHITE
from resnet_lstm.video_decoding import decode_video
from resnet_lstm.video_streams import ToPicture

# cd/m², linear BT.709: greys up to where highlights begin to be rolled off, then colours.
PATCHES = np.array(
    [
        *([[light] * 3 for light in (0.0, 1.0, 5.0, 20.0, 50.0, 90.0)]),
        *([90.0, 20.0, 5.0], [5.0, 60.0, 10.0], [4.0, 8.0, 80.0], [70.0, 60.0, 4.0]),
    ]
)
SIDE = 64  # the smallest that AV1's encoder takes
TO_BT2020 = np.linalg.inv([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
LUMINANCE = np.array([0.2627, 0.6780, 0.0593])


def pq(light: np.ndarray) -> np.ndarray:
    """BT.2100, table 4: cd/m² to signal."""
    power = (light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light: np.ndarray) -> np.ndarray:
    """BT.2100, table 5: cd/m² of a display of 1,000 to signal."""
    display = light / 1000
    luminance = np.maximum(display @ LUMINANCE, 1e-9)[..., None]
    scene = display * luminance ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


SIGNALS = {ColorTrc.SMPTE2084: pq, ColorTrc.ARIB_STD_B67: hlg}


def write_hdr(path: Path, codec: str, light: np.ndarray, transfer: ColorTrc, num_frames: int = 3) -> Path:
    """A clip of patches of light `[N, 3]`, linear BT.709, as 10 bits of limited range in BT.2020; as 8 bits of VP9."""
    signal = SIGNALS[transfer](light @ TO_BT2020.T)  # [N, 3]
    luma = signal @ LUMINANCE
    blue, red = (signal[:, 2] - luma) / 1.8814, (signal[:, 0] - luma) / 1.4746
    num_bits = 8 if codec == "libvpx-vp9" else 10  # the wheel's encoder writes no more
    planes = [2 ** (num_bits - 8) * code for code in (16 + 219 * luma, 128 + 224 * blue, 128 + 224 * red)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 25)
        stream.width, stream.height = SIDE * len(light), SIDE
        stream.pix_fmt = "yuv420p" if num_bits == 8 else "yuv420p10le"
        stream.options = {} if codec == "ffv1" else {"crf": "1", "b": "0"}
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, ColorPrimaries.BT2020
        context.colorspace, context.color_range = Colorspace.BT2020, ColorRange.MPEG
        for number in range(num_frames):
            frame = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.color_trc, frame.color_primaries = transfer, ColorPrimaries.BT2020
            frame.colorspace, frame.color_range = Colorspace.BT2020, ColorRange.MPEG
            for plane, values in zip(frame.planes, planes, strict=True):
                row = np.round(values).astype("u1" if num_bits == 8 else "<u2").repeat(plane.width // len(light))
                padded = np.zeros((plane.height, plane.line_size // row.itemsize), row.dtype)
                padded[:, : plane.width] = row
                plane.update(padded.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def middles(picture: np.ndarray) -> np.ndarray:
    """The colour of each patch, `[N, 3]`."""
    return picture[SIDE // 2, SIDE // 2 :: SIDE].astype(int)


def ordinary(light: np.ndarray) -> np.ndarray:
    """What a BT.1886 display whose white is HDR's reference white shows as this light."""
    return 255 * (light / REFERENCE_WHITE) ** (1 / 2.4)


@pytest.mark.parametrize("transfer", SIGNALS, ids=lambda transfer: transfer.name)
@pytest.mark.parametrize(
    ("codec", "suffix", "levels"),
    [
        ("libx265", ".mp4", 3),
        ("ffv1", ".mkv", 3),
        ("libsvtav1", ".mp4", 3),
        ("libsvtav1", ".webm", 3),
        ("libvpx-vp9", ".webm", 9),
        ("libvpx-vp9", ".mp4", 9),
    ],
)
def test_light_below_the_highlights_is_that_of_ordinary_video(
    tmp_path: Path, codec: str, suffix: str, levels: int, transfer: ColorTrc
) -> None:
    path = write_hdr(tmp_path / f"clip{suffix}", codec, PATCHES, transfer)
    colours = middles(decode_video(path, 1).frames[0])
    assert np.abs(colours - ordinary(PATCHES)).max() <= levels, colours


@pytest.mark.parametrize("transfer", SIGNALS, ids=lambda transfer: transfer.name)
def test_highlights_are_rolled_off_in_order_and_without_a_cast(tmp_path: Path, transfer: ColorTrc) -> None:
    light = np.array([120.0, 203.0, 300.0, 450.0, 1000.0])
    path = write_hdr(tmp_path / "clip.mp4", "libx265", light[:, None].repeat(3, axis=1), transfer)
    colours = middles(decode_video(path, 1).frames[0])
    assert np.abs(colours - colours[:, :1]).max() <= 3
    brightness = colours.mean(axis=1)
    assert (np.diff(brightness) > 1).all(), brightness
    assert brightness[0] > 190
    assert brightness[-1] >= 254


def test_ordinary_video_of_ten_bits_is_left_as_it_is(tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(
        np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8), format="rgb24"
    ).reformat(format="yuv420p10le")
    expected = frame.reformat(48, 32, format="rgb24", interpolation="BICUBIC").to_ndarray()
    assert np.array_equal(ToPicture()(frame), expected)
    frame.color_trc = ColorTrc.BT2020_10
    assert np.array_equal(ToPicture()(frame), expected)
    frame.color_trc = ColorTrc.SMPTE2084
    assert not np.array_equal(ToPicture()(frame), expected)
