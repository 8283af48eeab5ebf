"""Draws chargers and power banks."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light, mix
from catalog.sample.drawing.geometry import box, oval, polygon, regular, smooth
from catalog.sample.drawing.paint import Volume, body, emblem, glow, metal, plain

_LIGHTS = ("#3ddc84", "#4aa8ff", "#ffffff", "#ffb03a")


def charger(b: Brush) -> None:
    """A wall plug (cube or flat), a wireless pad with its cable, or a plug for the car."""
    {"cube": _cube, "slab": _slab_charger, "wireless": _pad, "car": _car}[b.look.shape](b)


def _ports(b: Brush, x: float, y: float, count: int) -> None:
    """USB ports under each other; the first may be of the wide kind."""
    wide_first = b.vary(0, 1) > 0.5
    for k in range(count):
        wide, tall = (11.0, 4.8) if k == 0 and wide_first else (8.5, 3.4)
        b.fill(box(x - wide / 2 - 0.5, y + 9 * k - tall / 2 - 0.5, wide + 1, tall + 1, tall / 2), light(b.color, 0.45))
        b.fill(box(x - wide / 2, y + 9 * k - tall / 2, wide, tall, 0.6 if wide > 10 else tall / 2), "#17181c")
        b.fill(box(x - wide * 0.32, y + 9 * k - 0.5, wide * 0.64, 1, 0.4), b.pick(("#d7dbe0", "#ff8a3a", "#4aa8ff")))


def _cube(b: Brush) -> None:
    size, tilt = b.vary(48, 54), b.vary(12, 17)
    x, y = 50 - size / 2 - 6, 28.0
    for k in (0.32, 0.68):
        metal(b, box(x + size * k - 2, 11, 4.5, 18, 1), b.pick(("#c9ced4", "#d8b04c")), volume=Volume.TUBE)
    r = b.vary(3, 8)
    top = polygon([(x + 2, y + 2), (x + tilt, y - 8), (x + size + tilt - 1, y - 8), (x + size - 2, y + 2)])
    side = polygon(
        [
            (x + size - 3, y + 2),
            (x + size + tilt - 1, y - 8),
            (x + size + tilt - 1, y + size - 14),
            (x + size - 3, y + size - 2),
        ]
    )
    body(b, side, color=dark(b.color, 0.3), pattern="plain", depth=1.5)
    body(b, top, color=light(b.color, 0.25), pattern="plain", depth=1)
    front = box(x, y, size, size, r)
    body(b, front, depth=2.4)
    count = b.pick((1, 2, 3))
    _ports(b, x + size * b.pick((0.5, 0.5, 0.3)), y + size * 0.5 - 4.5 * (count - 1) + b.vary(0, 8), count)
    emblem(b, x + size * b.pick((0.5, 0.82, 0.18)), y + size * 0.14, b.vary(2.6, 4))
    b.fill(oval(x + size * 0.86, y + size * 0.88, 1.2), b.pick(_LIGHTS))


def _slab_charger(b: Brush) -> None:
    wide, tall = b.vary(44, 52), b.vary(62, 70)
    x, y = 50 - wide / 2, 26.0
    pins = b.pick(("flat", "round"))
    for side in (-1, 1):
        pin = (
            box(50 + side * wide * 0.2 - 2, 6, 4, 22, 0.8)
            if pins == "flat"
            else box(50 + side * wide * 0.24 - 2.4, 6, 4.8, 22, 2.4)
        )
        metal(b, pin, "#c9ced4", volume=Volume.TUBE)
    plain(b, box(x + wide * 0.12, y - 4, wide * 0.76, 10, 2), dark(b.color, 0.2))
    body(b, box(x, y, wide, tall, b.vary(4, 14)), depth=3)
    band = b.vary(34, 46)
    b.line(f"M{x},{y + band}H{x + wide}", dark(b.color, 0.4), 0.8)
    count = b.pick((1, 2, 3))
    _ports(b, 50, y + tall - 6 - 9 * count + 2, count)
    emblem(b, 50 + b.pick((0, -wide * 0.26)), y + b.vary(12, 22), b.vary(4, 6.5))
    for k in range(b.pick((0, 4, 6))):
        b.line(f"M{x + wide - 9},{y + 10 + 2.4 * k}h5", dark(b.color, 0.45), 0.8)


def _pad(b: Brush) -> None:
    squeeze, radius = b.vary(0.62, 0.8), b.vary(37, 41)
    y = 45.0
    cable = (
        f"M50,{y + radius * squeeze}C50,{y + radius * squeeze + 22} {b.vary(60, 80)},{y + radius * squeeze - 2} "
        f"{b.vary(84, 92)},92"
    )
    b.line(cable, dark(b.color, 0.5), 3)
    b.line(cable, light(b.color, 0.1), 1.6)
    thick = b.vary(3, 7)
    plain(b, oval(50, y + thick, radius, radius * squeeze), dark(b.color, 0.45))
    square = b.vary(0, 1) > 0.7
    plate = (
        oval(50, y, radius, radius * squeeze)
        if not square
        else box(50 - radius, y - radius * squeeze, 2 * radius, 2 * radius * squeeze, 14)
    )
    body(b, plate, depth=2.2)
    for share in b.pick(((0.78,), (0.5, 0.8), (0.86, 0.8))):
        b.line(
            oval(50, y, radius * share, radius * share * squeeze),
            b.pick((dark(b.color, 0.35), light(b.color, 0.5), b.second)),
            b.vary(0.7, 2),
        )
    mark = b.pick(("bolt", "plus", "emblem"))
    if mark == "bolt":
        b.fill(polygon([(52, y - 12), (43, y + 2), (49, y + 2), (47, y + 12), (57, y - 3), (51, y - 3)]), b.second)
    elif mark == "plus":
        b.line(f"M50,{y - 7}v14M42,{y}h16", b.second, 2.2)
    emblem(b, 50, y + (radius * squeeze * 0.65 if mark != "emblem" else 0), 3.2 if mark != "emblem" else b.vary(6, 9))
    b.fill(box(47, y + radius * squeeze + thick - 3, 6, 1.6, 0.8), b.pick(_LIGHTS))


def _car(b: Brush) -> None:
    half, tip = b.vary(17, 20), b.vary(10, 12.5)
    head = b.vary(40, 46)
    with b.group(transform=f"rotate({b.vary(-35, 35)} 50 50)"):
        metal(b, box(50 - 3, 90, 6, 6, 2), "#d8b04c", volume=Volume.TUBE)
        for side in (-1, 1):
            metal(b, box(50 + side * (tip + 1) - 2, 66, 4, 14, 2), "#c9ced4", volume=Volume.TUBE)
        plain(
            b,
            smooth(
                [
                    (50 - half * 0.86, head - 2),
                    (50 + half * 0.86, head - 2),
                    (50 + tip, 84),
                    (50 + 5, 92),
                    (50 - 5, 92),
                    (50 - tip, 84),
                ],
                tension=0.5,
            ),
            mix(b.color, "#2b2d31", b.pick((0.85, 0.2))),
            volume=Volume.TUBE,
        )
        body(b, box(50 - half, 6, 2 * half, head - 4, b.vary(4, 8)), volume=Volume.TUBE, depth=2)
        ring = b.pick((*_LIGHTS, b.second))
        b.line(f"M{51 - half},{head - 5}H{49 + half}", ring, 1.4)
        _ports(b, 50, 14, b.pick((1, 2)))
        emblem(b, 50, head - 11, b.vary(2.6, 3.8))


def power_bank(b: Brush) -> None:
    """A flat bank, a round one or a stick; ports at the top edge, lights that show its charge."""
    shape = b.look.shape
    if shape == "stick":
        half, tall, corner = b.vary(13, 17), b.vary(80, 86), b.vary(5, 16)
    elif shape == "round":
        half, tall, corner = b.vary(33, 36), b.vary(70, 76), b.vary(28, 36)
    else:
        half, tall, corner = b.vary(23, 28), b.vary(80, 86), b.vary(4, 10)
    x, y = 50 - half, 50 - tall / 2
    plain(b, box(x + 2, y - 2.4, 2 * half - 4, tall, corner), dark(b.color, 0.4), volume=Volume.TUBE)
    for k in range(b.pick((1, 2))):
        b.fill(box(50 - 9 + 11 * k, y - 1.8, 7, 2, 0.8), "#0f1013")
    body(b, box(x, y, 2 * half, tall, corner), volume=Volume.TUBE if shape == "stick" else Volume.FLAT, depth=3)
    _charge(b, half, y, tall)
    emblem(b, 50 + b.pick((0, 0, -half * 0.35)), b.vary(42, 56), b.vary(4.5, 8))
    if b.vary(0, 1) > 0.5:
        loop = f"M{50 + half - 4},{y + 4}C{50 + half + 9},{y - 4} {50 + half + 9},{y + 22} {50 + half - 1},{y + 20}"
        b.line(loop, b.second, 1.8)
    glow(b, box(x + half * 0.22, y + corner, half * 0.1, tall - 2 * corner, 1), 0.35, 0.6)


def _charge(b: Brush, half: float, y: float, tall: float) -> None:
    low = y + tall - b.vary(9, 16)
    tint, kind = b.pick(_LIGHTS), b.pick(("dots", "display", "bar", "ring"))
    full = b.pick((1, 2, 3, 4))
    if kind == "dots":
        for k in range(4):
            b.fill(oval(50 + (k - 1.5) * half * 0.26, low, 1.3), tint if k < full else dark(b.color, 0.55))
    elif kind == "display":
        b.fill(box(50 - half * 0.45, low - 6, half * 0.9, 10, 1.5), "#121418")
        b.fill(box(50 - half * 0.28, low - 3.6, half * 0.2 * full * 0.6, 5, 0.5), tint)
        b.fill(box(50 + half * 0.18, low - 3.6, half * 0.12, 5, 0.5), tint)
    elif kind == "bar":
        b.fill(box(50 - half * 0.5, low, half, 2, 1), dark(b.color, 0.55))
        b.fill(box(50 - half * 0.5, low, half * full / 4, 2, 1), tint)
    else:
        b.fill(regular(50, low - 2, 5, 24), dark(b.color, 0.5))
        b.line(oval(50, low - 2, 3.8), tint, 1, stroke_dasharray=f"{6 * full} 100")
