"""Draws computer mice and keyboards, seen from above."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import both_sides, box, oval, polygon, smooth
from catalog.sample.drawing.paint import Volume, body, emblem, glow, metal, plain

_LIGHTS = ("#34e2b0", "#4aa8ff", "#ff5c8a", "#ffb03a", "#b46bff")


def computer_mouse(b: Brush) -> None:
    """Two buttons, a wheel, side grips; some with a cable, some with a glowing line."""
    shape = b.look.shape
    half = {"classic": b.vary(25, 29), "slim": b.vary(20, 24), "gaming": b.vary(26, 30)}[shape]
    top, low = b.vary(12, 17), b.vary(88, 93)
    if b.vary(0, 1) > 0.5:
        cable = f"M50,{top + 2}C50,{top - 8} {b.vary(38, 62)},6 {b.vary(44, 56)},1"
        b.line(cable, dark(b.color, 0.6), 2.6)
        b.line(cable, dark(b.color, 0.25), 1.3)
    waist = half * (b.vary(0.82, 0.9) if shape != "slim" else b.vary(0.93, 0.99))
    outline = smooth(
        both_sides(
            [
                (50 + half * 0.5, top),
                (50 + half * 0.88, top + 8),
                (50 + waist, 44),
                (50 + half, 68),
                (50 + half * 0.62, low - 3),
            ]
        ),
        tension=0.95,
    )
    if shape == "gaming":
        outline = smooth(
            both_sides(
                [
                    (50 + half * 0.35, top + 4),
                    (50 + half * 0.8, top + 3),
                    (50 + half * 0.95, top + 20),
                    (50 + waist, 48),
                    (50 + half * 1.12, 70),
                    (50 + half * 0.7, low - 4),
                ]
            ),
            tension=0.75,
        )
    body(b, outline, depth=5)
    b.fill(
        outline,
        b.radial(
            [(0, "#fff", 0.3), (0.5, "#fff", 0.0), (0.7, "#000", 0.0), (1, "#000", 0.32)], x=0.4, y=0.62, radius=0.7
        ),
    )
    with b.group(clip_path=b.clip(outline)):
        _mouse_parts(b, half, top, low)
    _wheel(b, top)
    emblem(b, 50, b.vary(68, 77), b.vary(4, 6.5))


def _mouse_parts(b: Brush, half: float, top: float, low: float) -> None:
    split = b.vary(38, 48)
    seam = b.pick(
        (
            f"M0,{split}Q50,{split + 9} 100,{split}",
            f"M0,{split + 4}Q50,{split - 6} 100,{split + 4}",
            f"M0,{split - 6}L50,{split + 4}L100,{split - 6}",
        )
    )
    for shift, color in ((0.0, dark(b.color, 0.6)), (0.8, light(b.color, 0.35))):
        b.line(
            f"{seam}M50,{top - 4}V{split + 3}", color, 0.7, transform=f"translate({shift} {shift})", stroke_opacity=0.8
        )
    grip = b.pick((dark(b.color, 0.4), b.second, dark(b.color, 0.15)))
    if b.look.shape != "slim":
        for side in (-1, 1):
            plain(
                b,
                smooth(
                    [
                        (50 + side * half * 1.3, 40),
                        (50 + side * half * b.vary(0.72, 0.8), 52),
                        (50 + side * half * 0.84, 72),
                        (50 + side * half * 1.3, 84),
                    ]
                ),
                grip,
                material="silicone",
            )
        for k in range(b.pick((3, 4, 5))):
            b.line(
                f"M{50 - half * 1.1},{54 + 4 * k}l{half * 0.26},1.5M{50 + half * 1.1},{54 + 4 * k}l{-half * 0.26},1.5",
                dark(grip, 0.5),
                0.8,
            )
    if b.look.shape == "gaming":
        glowing = b.pick(_LIGHTS)
        line = (
            f"M{50 - half * 0.62},{low - 22}Q{50 - half * 0.4},{low - 8} 50,{low - 7}"
            f"Q{50 + half * 0.4},{low - 8} {50 + half * 0.62},{low - 22}"
        )
        b.line(line, glowing, 3, stroke_opacity=0.35)
        b.line(line, glowing, 1.2)


def _wheel(b: Brush, top: float) -> None:
    y, tall = top + b.vary(9, 13), b.vary(10, 15)
    tint = b.pick(("#3a3c42", b.second, *_LIGHTS[:2]))
    b.fill(box(46.4, y - 1.4, 7.2, tall + 2.8, 3.6), dark(b.color, 0.75))
    plain(b, box(47.5, y, 5, tall, 2.2), tint, volume=Volume.ROLL)
    for k in range(6):
        b.line(f"M48,{y + 1.5 + tall * k / 6.5}h4", "#000", 0.5, stroke_opacity=0.5)
    if b.vary(0, 1) > 0.5:
        b.fill(box(48, y + tall + 4, 4, 2.2, 1.1), "#d4d8dd")


def keyboard(b: Brush) -> None:
    """Rows of keys in a frame: with a number block, without one, or split in two halves."""
    shape = b.look.shape
    rows, gap = b.pick((4, 5, 5, 6)), b.vary(0.7, 1.3)
    keys = b.pick(("#f3f1ec", "#35373d", light(b.color, 0.45), dark(b.color, 0.45), b.color))
    accent = b.pick((b.second, b.second, *_LIGHTS[2:4]))
    high = b.vary(34, 42)
    if shape == "split":
        tilt = b.vary(7, 13)
        for side in (-1, 1):
            with b.group(transform=f"rotate({side * tilt} {50 + side * 23.5} 50)"):
                _board(b, (50 + side * 24 - 20, 50 - high / 2 - 2), (40, high + 4), (rows, 6, gap), (keys, accent))
        return
    wide = 92.0 if shape == "full" else b.vary(72, 80)
    if shape == "compact":
        high += 6
    corner = (50 - wide / 2, 50 - high / 2)
    if b.vary(0, 1) > 0.55:
        b.line(
            (
                f"M{b.vary(40, 60)},{corner[1] + 1}C50,{corner[1] - 12} {b.vary(60, 75)},{corner[1] - 6} "
                f"{b.vary(60, 78)},{corner[1] - 16}"
            ),
            dark(b.color, 0.5),
            1.8,
        )
    _board(b, corner, (wide, high), (rows, 15 if shape == "full" else 12, gap), (keys, accent))


def _board(
    b: Brush,
    corner: tuple[float, float],
    size: tuple[float, float],
    grid: tuple[int, int, float],
    tints: tuple[str, str],
) -> None:
    (x, y), (wide, high), (rows, columns, gap) = corner, size, grid
    frame = box(x, y, wide, high, b.vary(1.5, 5))
    body(b, frame, depth=2)
    margin, strip = b.vary(2.2, 3.6), b.pick((0.0, 0.0, 4.5))
    if strip:
        emblem(b, x + wide - 6, y + margin + 1.4, 1.6)
        for k in range(3):
            b.fill(oval(x + 5 + 3 * k, y + margin + 1.4, 0.6), tints[1])
    left, top = x + margin, y + margin + strip
    b.fill(box(left - 0.6, top - 0.6, wide - 2 * margin + 1.2, high - 2 * margin - strip + 1.2, 1), dark(b.color, 0.55))
    if b.vary(0, 1) > 0.65:
        glow(b, box(left, top, wide - 2 * margin, high - 2 * margin - strip, 1), 0.25, 1)
    cell_x, cell_y = (wide - 2 * margin) / columns, (high - 2 * margin - strip) / rows
    spots = {(0, 0), (b.pick((1, 2)), columns - 1), (rows - 1, b.pick((0, 1, columns - 1)))}
    for row in range(rows):
        for column, span in _key_row(columns, last=row == rows - 1):
            tint = tints[1] if (row, column) in spots else tints[0]
            _key(b, (left + column * cell_x, top + row * cell_y), (span * cell_x - gap * 0.6, cell_y - gap * 0.6), tint)
    if columns == 15:
        b.fill(box(left + 11 * cell_x - gap * 0.4, top, gap, rows * cell_y), dark(b.color, 0.55))


def _key_row(columns: int, *, last: bool) -> list[tuple[int, int]]:
    """(column, width in columns) of each key; the lowest row has the space bar."""
    if not last:
        return [(k, 1) for k in range(columns)]
    bar = max(2, columns // 3)
    start = columns // 4
    return [(k, 1) for k in range(start)] + [(start, bar)] + [(k, 1) for k in range(start + bar, columns)]


def _key(b: Brush, corner: tuple[float, float], size: tuple[float, float], tint: str) -> None:
    (x, y), (wide, high) = corner, size
    b.fill(box(x, y, wide, high, 0.9), dark(tint, 0.3))
    b.fill(box(x + 0.45, y + 0.2, wide - 0.9, high - 1.1, 0.8), light(tint, 0.08))
    b.fill(
        polygon([(x + 0.9, y + 0.5), (x + wide - 0.9, y + 0.5), (x + wide - 1.2, y + 1), (x + 1.2, y + 1)]),
        "#fff",
        fill_opacity=0.35,
    )


def usb_plug(b: Brush, x: float, y: float) -> None:
    """A metal plug pointing down from (x, y)."""
    metal(b, box(x - 3.5, y, 7, 8, 0.6), "#c9ced4", volume=Volume.TUBE)
    for side in (-1.5, 1.5):
        b.fill(box(x + side - 0.8, y + 2.5, 1.6, 1.6), "#55585e")
