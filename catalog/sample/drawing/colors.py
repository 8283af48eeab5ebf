"""The shop's colors, and arithmetic on "#rrggbb" strings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COLORS: Mapping[str, str] = MappingProxyType(
    {
        "black": "#26272b",
        "white": "#f1f0ec",
        "gray": "#8b9099",
        "red": "#cf2f36",
        "burgundy": "#7a2236",
        "coral": "#f3826f",
        "orange": "#ee8a2d",
        "mustard": "#ddb02f",
        "beige": "#d9c3a0",
        "brown": "#835334",
        "olive": "#767a3c",
        "green": "#2f8a56",
        "teal": "#1f9099",
        "sky blue": "#78b8e6",
        "navy": "#29407c",
        "purple": "#7d55b4",
        "pink": "#ee9ebd",
    }
)


def mix(first: str, second: str, share: float) -> str:
    """`first` with `share` (0 to 1) of `second` mixed in, channel by channel."""
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def light(color: str, share: float) -> str:
    """`color` with `share` of white."""
    return mix(color, "#ffffff", share)


def dark(color: str, share: float) -> str:
    """`color` with `share` of a warm black."""
    return mix(color, "#0b0a10", share)


def luminance(color: str) -> float:
    """How bright a color looks, 0 (black) to 1 (white)."""
    red, green, blue = _channels(color)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def ink(color: str) -> str:
    """A color that can be read on `color`: dark on bright, bright on dark."""
    return dark(color, 0.72) if luminance(color) > 0.5 else light(color, 0.75)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
