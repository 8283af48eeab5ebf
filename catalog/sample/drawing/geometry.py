"""Path strings of simple outlines; all lengths in the units of the 100 x 100 box, y down."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


def box(x: float, y: float, width: float, height: float, radius: float = 0.0) -> str:
    """A rectangle with round corners."""
    r = min(radius, width / 2, height / 2)
    arc = f"a{r},{r} 0 0 1"
    return (
        f"M{x + r},{y}h{width - 2 * r}{arc} {r},{r}v{height - 2 * r}{arc} {-r},{r}h{2 * r - width}{arc} "
        f"{-r},{-r}v{2 * r - height}{arc} {r},{-r}z"
    )


def oval(x: float, y: float, across: float, down: float | None = None) -> str:
    """An ellipse around (x, y) of half axes `across` and `down` (a circle when left out)."""
    high = across if down is None else down
    return f"M{x - across},{y}a{across},{high} 0 1 0 {2 * across},0a{across},{high} 0 1 0 {-2 * across},0z"


def polygon(points: Sequence[Point]) -> str:
    """A closed outline of straight sides."""
    return "M" + "L".join(f"{x},{y}" for x, y in points) + "z"


def smooth(points: Sequence[Point], *, closed: bool = True, tension: float = 1.0) -> str:
    """A curve through every point (Catmull-Rom); lower `tension` is straighter."""
    count = len(points)
    parts = [f"M{points[0][0]},{points[0][1]}"]
    for i in range(count if closed else count - 1):
        before, here = _at(points, i - 1, closed), points[i]
        there, after = _at(points, i + 1, closed), _at(points, i + 2, closed)
        share = tension / 6
        first = (here[0] + (there[0] - before[0]) * share, here[1] + (there[1] - before[1]) * share)
        last = (there[0] - (after[0] - here[0]) * share, there[1] - (after[1] - here[1]) * share)
        parts.append(f"C{first[0]},{first[1]} {last[0]},{last[1]} {there[0]},{there[1]}")
    return "".join(parts) + ("z" if closed else "")


def both_sides(points: Sequence[Point], *, middle: float = 50.0) -> list[Point]:
    """Right half of an outline, top to bottom, and its mirror image: a symmetric outline."""
    return [*points, *((2 * middle - x, y) for x, y in reversed(points))]


def arc(x: float, y: float, radius: float, start: float, end: float, *, squeeze: float = 1.0) -> str:
    """An open arc from angle `start` to `end` (degrees, clockwise from the right); `squeeze` scales its height."""
    first, last = turn(x, y, radius, start, squeeze=squeeze), turn(x, y, radius, end, squeeze=squeeze)
    large = int(abs(end - start) > 180)
    sweep = int(end > start)
    return f"M{first[0]},{first[1]}A{radius},{radius * squeeze} 0 {large} {sweep} {last[0]},{last[1]}"


def turn(x: float, y: float, radius: float, angle: float, *, squeeze: float = 1.0) -> Point:
    """The point at `angle` degrees on a circle around (x, y)."""
    radians = math.radians(angle)
    return x + radius * math.cos(radians), y + radius * squeeze * math.sin(radians)


def star(x: float, y: float, radius: float, points: int, *, inner: float = 0.45, angle: float = -90.0) -> str:
    """A star of `points` tips whose notches lie at `inner` of the radius."""
    corners = []
    for k in range(2 * points):
        corners.append(turn(x, y, radius if k % 2 == 0 else radius * inner, angle + 180 * k / points))
    return polygon(corners)


def regular(x: float, y: float, radius: float, sides: int, *, angle: float = -90.0) -> str:
    """A regular polygon."""
    return polygon([turn(x, y, radius, angle + 360 * k / sides) for k in range(sides)])


def heart(x: float, y: float, size: float) -> str:
    """A heart of half width `size` around (x, y)."""
    s = size
    return (
        f"M{x},{y + s}C{x - 1.7 * s},{y - 0.2 * s} {x - 0.8 * s},{y - 1.35 * s} {x},{y - 0.45 * s}"
        f"C{x + 0.8 * s},{y - 1.35 * s} {x + 1.7 * s},{y - 0.2 * s} {x},{y + s}z"
    )


def drop(x: float, y: float, size: float) -> str:
    """A drop with its tip up, of half width `size`."""
    s = size
    return (
        f"M{x},{y - 1.6 * s}C{x + 0.5 * s},{y - 0.6 * s} {x + s},{y - 0.3 * s} {x + s},{y + 0.2 * s}"
        f"A{s},{s} 0 1 1 {x - s},{y + 0.2 * s}C{x - s},{y - 0.3 * s} {x - 0.5 * s},{y - 0.6 * s} "
        f"{x},{y - 1.6 * s}z"
    )


def _at(points: Sequence[Point], index: int, closed: bool) -> Point:
    return points[index % len(points)] if closed else points[min(max(index, 0), len(points) - 1)]
