"""Printed patterns and the grain of materials: each is a tile that repeats over what it fills."""

from __future__ import annotations

from collections.abc import Callable

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.geometry import box, oval, polygon, star, turn


def print_fill(b: Brush, pattern: str) -> str | None:
    """The paint of a pattern in the second color, or None for "plain"; scale and angle are the product's own."""
    if pattern == "plain":
        return None
    if pattern == "two-tone":
        return _two_tone(b)
    size, content = _PRINTS[pattern](b)
    slant = b.vary(-14, 14) + b.pick((0, 0, 45, 90)) if pattern in ("striped", "dotted", "geometric") else 0
    return tile(b, size, content, angle=slant)


def tile(b: Brush, size: tuple[float, float], content: str, *, angle: float = 0.0) -> str:
    """A repeated tile of (width, height) as a paint."""
    attributes = (
        f'patternUnits="userSpaceOnUse" width="{size[0]}" height="{size[1]}" patternTransform="rotate({angle} 50 50)"'
    )
    return b.define("pattern", attributes, content)


def _shape(path: str, color: str, opacity: float = 1.0) -> str:
    return f'<path d="{path}" fill="{color}" fill-opacity="{opacity}"/>'


def _stroke(path: str, color: str, width: float, opacity: float = 1.0) -> str:
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}" stroke-opacity="{opacity}"/>'


def _two_tone(b: Brush) -> str:
    edge = b.vary(0.45, 0.66)
    stops = [(0, b.second, 0.0), (edge, b.second, 0.0), (edge, b.second, 1.0), (1, b.second, 1.0)]
    right, down = b.pick(((0.0, 1.0), (0.0, 1.0), (0.7, 0.7), (1.0, 0.0)))
    return b.linear(stops, right=right, down=down)


def _striped(b: Brush) -> tuple[tuple[float, float], str]:
    step, share = b.vary(5, 12), b.vary(0.25, 0.55)
    content = _shape(box(0, 0, 30, step * share), b.second)
    if b.vary(0, 1) > 0.5:
        content += _shape(box(0, step * (share + 0.12), 30, step * 0.08), b.second, 0.9)
    return (30, step), content


def _dotted(b: Brush) -> tuple[tuple[float, float], str]:
    step = b.vary(5, 11)
    radius = step * b.vary(0.13, 0.26)
    spots = ((step / 4, step / 4), (step * 3 / 4, step * 3 / 4))
    return (step, step), "".join(_shape(oval(x, y, radius), b.second) for x, y in spots)


def _checked(b: Brush) -> tuple[tuple[float, float], str]:
    step, share = b.vary(8, 16), b.vary(0.3, 0.5)
    wide = step * share
    content = _shape(box(0, 0, wide, step), b.second, 0.6) + _shape(box(0, 0, step, wide), b.second, 0.6)
    if b.vary(0, 1) > 0.4:
        middle = wide + (step - wide) / 2
        content += _stroke(f"M{middle},0v{step}M0,{middle}h{step}", b.second, step * 0.06, 0.9)
    return (step, step), content


def _flower(x: float, y: float, size: float, petals: int, color: str) -> str:
    spots = [turn(x, y, size * 0.55, 360 * k / petals) for k in range(petals)]
    return "".join(_shape(oval(px, py, size * 0.4), color) for px, py in spots) + _shape(
        oval(x, y, size * 0.3), "#f7d774"
    )


def _floral(b: Brush) -> tuple[tuple[float, float], str]:
    step, petals = b.vary(13, 21), b.pick((5, 6, 8))
    leaf = "#4f8a57"
    content = _flower(step * 0.28, step * 0.3, step * 0.24, petals, b.second)
    content += _flower(step * 0.75, step * 0.76, step * 0.18, petals, b.second)
    content += _shape(oval(step * 0.7, step * 0.25, step * 0.11, step * 0.05), leaf)
    content += _shape(oval(step * 0.25, step * 0.78, step * 0.05, step * 0.11), leaf)
    return (step, step), content


def _geometric(b: Brush) -> tuple[tuple[float, float], str]:
    step = b.vary(8, 15)
    half = step / 2
    kinds = (
        _shape(polygon([(half, step * 0.1), (step * 0.9, step * 0.85), (step * 0.1, step * 0.85)]), b.second),
        _shape(polygon([(half, 0), (step * 0.85, half), (half, step), (step * 0.15, half)]), b.second),
        _stroke(f"M0,{step * 0.75}L{half},{step * 0.25}L{step},{step * 0.75}", b.second, step * 0.2),
        _shape(star(half, half, step * 0.42, 4, inner=0.35), b.second),
        _stroke(oval(half, half, step * 0.3), b.second, step * 0.12),
    )
    return (step, step), b.pick(kinds)


_PRINTS: dict[str, Callable[[Brush], tuple[tuple[float, float], str]]] = {
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
    "floral": _floral,
    "geometric": _geometric,
}

# The grain of a material: tile width, height, angle and the paths inside as (path, stroke color, width, opacity).
_GRAINS: dict[str, tuple[float, float, float, tuple[tuple[str, str, float, float], ...]]] = {
    "leather": (
        5.0,
        4.4,
        12.0,
        (
            (
                ("M0.3,1q0.8,-0.9 1.5,0.1M2.6,2.2q0.7,-0.8 1.4,0M1,3.4q0.8,-0.7 1.3,0.1M3.4,0.5q0.7,0.7 1.3,0"),
                "#000",
                0.35,
                0.17,
            ),
            ("M0.5,1.5q0.8,-0.7 1.3,0M2.8,2.7q0.7,-0.6 1.2,0M1.2,3.9q0.7,-0.6 1.1,0", "#fff", 0.3, 0.15),
        ),
    ),
    "suede": (
        3.1,
        3.7,
        20.0,
        (
            (("M0.4,0.6h0.1M1.9,1.3h0.1M2.8,2.6h0.1M0.9,2.9h0.1M1.4,2.1h0.1"), "#000", 0.6, 0.16),
            ("M1.2,0.5h0.1M2.5,0.4h0.1M0.3,1.9h0.1M2.1,3.2h0.1", "#fff", 0.6, 0.2),
        ),
    ),
    "weave": (2.0, 2.0, 0.0, (("M0,0.5h1M1,1.5h1", "#000", 0.55, 0.16), ("M1.5,0v1M0.5,1v1", "#fff", 0.55, 0.2))),
    "ripstop": (3.0, 3.0, 0.0, (("M0,0h3M0,0v3", "#000", 0.4, 0.17), ("M0,0.5h3", "#fff", 0.3, 0.14))),
    "knit": (
        3.4,
        3.0,
        0.0,
        (("M0.1,0.3L1.7,2.1L3.3,0.3", "#000", 0.6, 0.34), ("M0.1,1.2L1.7,3L3.3,1.2", "#fff", 0.6, 0.26)),
    ),
    "wool": (
        5.2,
        4.2,
        0.0,
        (("M0.2,0.4L2.6,3L5,0.4", "#000", 1.0, 0.3), ("M0.2,1.8L2.6,4.4L5,1.8", "#fff", 1.1, 0.24)),
    ),
    "jersey": (1.6, 1.6, 0.0, (("M0.4,0v1.6", "#000", 0.3, 0.1), ("M1.2,0v1.6", "#fff", 0.3, 0.12))),
    "satin": (
        26.0,
        40.0,
        32.0,
        (
            ("M5,0v40M7,0v40", "#fff", 4.0, 0.2),
            ("M18,0v40M20,0v40", "#000", 5.0, 0.1),
        ),
    ),
    "glare": (
        44.0,
        60.0,
        35.0,
        (
            ("M9,0v60M9,0v60", "#fff", 9.0, 0.22),
            ("M19,0v60", "#fff", 2.5, 0.3),
        ),
    ),
    "twill": (3.4, 3.4, 35.0, (("M0,0.8h3.4", "#fff", 1.3, 0.34), ("M0,2.5h2.4", "#000", 0.8, 0.22))),
    "brushed": (
        40.0,
        2.3,
        0.0,
        (("M0,0.4h40", "#fff", 0.25, 0.28), ("M3,1.2h30", "#000", 0.2, 0.16), ("M0,1.9h40", "#fff", 0.15, 0.2)),
    ),
    "wood": (
        34.0,
        9.0,
        3.0,
        (
            (("M0,1q9,1.6 17,0t17,0M0,4.2q9,-1.8 17,0t17,0M0,7q8,1.2 17,0t17,0"), "#3a1d08", 0.5, 0.33),
            ("M0,2.4q9,1 17,0t17,0M0,5.8q9,-1.2 17,0t17,0", "#3a1d08", 0.25, 0.3),
        ),
    ),
    "tortoise": (
        17.0,
        13.0,
        25.0,
        (
            (("M2,3q3,-2 5,1M10,8q4,-3 5,1M5,10q1,2 3,1M12,2q2,0 3,1"), "#1a0c04", 2.6, 0.5),
            ("M8,5q2,1 3,0M1,8q1,1 2,0", "#fff", 1.6, 0.22),
        ),
    ),
}


def grain_fill(b: Brush, grain: str) -> str:
    """The paint of a material's grain, laid over its color."""
    width, height, angle, strokes = _GRAINS[grain]
    content = "".join(_stroke(path, color, wide, opacity) for path, color, wide, opacity in strokes)
    return tile(b, (width, height), content, angle=angle)
