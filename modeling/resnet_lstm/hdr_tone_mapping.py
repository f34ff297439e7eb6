"""High dynamic range -> the range of ordinary video, so that the clips of recent phones are not washed out.

A frame of PQ or HLG (ITU-R BT.2100, https://www.itu.int/rec/R-REC-BT.2100) is turned into the light that a display of
1,000 cd/m² shows, and its colours into those of BT.709 (BT.2087). Highlights are rolled off (BT.2390, section 5.4.1)
so that HDR's reference white of 203 cd/m² (BT.2408) comes near the white of ordinary video and 1,000 cd/m² is that
white; below the roll-off's knee light stays as it is, in relation to reference white. The outcome is the signal of a
BT.1886 display.
"""

from __future__ import annotations

from functools import cache

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

# cd/m²
PEAK = 1000.0
REFERENCE_WHITE = 203.0
_PQ_PEAK = 10_000.0

# BT.2100, table 4.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# BT.2100, table 5.
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2  # of a display of 1,000 cd/m²
_BT2020_LUMINANCE = np.array((0.2627, 0.6780, 0.0593), np.float32)
# BT.2087, annex 1: linear BT.2020 to linear BT.709.
_BT2020_TO_BT709 = np.array(
    ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)), np.float32
)
_BT1886_GAMMA = 2.4

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_CODES = 2**16
# As many rows at a time as stay in a processor's cache.
_PIXELS_AT_A_TIME = 2**15


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether a frame says that its signal is PQ or HLG."""
    return frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def tone_mapped(
    frame: av.VideoFrame, reformatter: av.video.reformatter.VideoReformatter, width: int, height: int
) -> np.ndarray:
    """An HDR frame as a picture of ordinary video, `[height, width, 3]` uint8.

    Args:
        frame: One that `is_hdr`.
        reformatter: Scales it, and turns its luma and colour differences into RGB.
        width: Of the picture, in pixels.
        height: Likewise.
    """
    # Where the matrix is not named it is that of HDR.
    matrix = Colorspace.BT2020 if frame.colorspace == _UNSPECIFIED else None
    codes = reformatter.reformat(
        frame, width, height, format="rgb48le", src_colorspace=matrix, interpolation="BICUBIC"
    ).to_ndarray()
    picture = np.empty((height * width, 3), np.uint8)
    rows = codes.reshape(-1, 3)
    has_wide_colours = frame.color_primaries != ColorPrimaries.BT709
    for start in range(0, len(rows), _PIXELS_AT_A_TIME):
        part = slice(start, start + _PIXELS_AT_A_TIME)
        light = display_light(rows[part], frame.color_trc)
        picture[part] = to_sdr(light @ _BT2020_TO_BT709.T if has_wide_colours else light)
    return picture.reshape(height, width, 3)


def display_light(codes: np.ndarray, transfer: int) -> np.ndarray:
    """What a display of 1,000 cd/m² shows.

    Args:
        codes: `[N, 3]` uint16, R'G'B' from 0 to 65,535.
        transfer: `ColorTrc.SMPTE2084` (PQ) or `ColorTrc.ARIB_STD_B67` (HLG).

    Returns:
        `[N, 3]` float32, linear RGB in cd/m²; PQ may ask for more than the display has.
    """
    if transfer == ColorTrc.SMPTE2084:
        return _pq_light()[codes]
    scene = _hlg_scene_light()[codes]
    luminance = np.maximum(scene @ _BT2020_LUMINANCE, np.float32(1e-6))
    return PEAK * scene * (luminance ** np.float32(_HLG_GAMMA - 1))[:, None]


def to_sdr(light: np.ndarray) -> np.ndarray:
    """The signal of ordinary video.

    Args:
        light: `[N, 3]` float32, linear RGB of BT.709 in cd/m²; what is no colour of BT.709 is below 0.

    Returns:
        `[N, 3]` uint8.
    """
    light = np.maximum(light, 0.0)
    brightest = light.max(axis=1)
    # All three by the same factor: hue stays.
    scale = _roll_off()[_step(brightest / PEAK)]
    return _signal()[_step(light * scale[:, None] / REFERENCE_WHITE)]


def _step(value: np.ndarray) -> np.ndarray:
    """Where 0 to 1 stands in a table of `_CODES` entries whose steps are as fine in the dark as the eye is there."""
    return (np.sqrt(np.minimum(value, 1.0)) * (_CODES - 1) + 0.5).astype(np.uint16)


def _of_step() -> np.ndarray:
    return (np.arange(_CODES) / (_CODES - 1)) ** 2


@cache
def _pq_light() -> np.ndarray:
    """BT.2100's EOTF of PQ at each code, in cd/m²."""
    return _light_of_pq(np.arange(_CODES) / (_CODES - 1)).astype(np.float32)


def _light_of_pq(signal: np.ndarray) -> np.ndarray:
    """The EOTF of PQ, from 0 to 1 to cd/m²."""
    power = signal ** (1 / _M2)
    return _PQ_PEAK * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def _pq_signal(light: np.ndarray | float) -> np.ndarray:
    """The inverse, from cd/m² to 0 to 1."""
    power = (np.asarray(light, np.float64) / _PQ_PEAK) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


@cache
def _hlg_scene_light() -> np.ndarray:
    """BT.2100's inverse OETF of HLG at each code, from 0 to 1."""
    signal = np.arange(_CODES) / (_CODES - 1)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12).astype(np.float32)


@cache
def _roll_off() -> np.ndarray:
    """What light from 0 to the peak is multiplied by, at each step: BT.2390's EETF from 1,000 to 203 cd/m²."""
    light = _of_step() * PEAK
    source_peak = _pq_signal(PEAK)
    signal = _pq_signal(light) / source_peak
    target = _pq_signal(REFERENCE_WHITE) / source_peak
    knee = 1.5 * target - 0.5
    t = (signal - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * target
    shown = _light_of_pq(np.where(signal < knee, signal, spline) * source_peak)
    return np.divide(shown, light, out=np.ones(_CODES), where=light > 0).astype(np.float32)


@cache
def _signal() -> np.ndarray:
    """The inverse of BT.1886's EOTF at each step, as 8-bit codes of full range."""
    return (255 * _of_step() ** (1 / _BT1886_GAMMA) + 0.5).astype(np.uint8)
