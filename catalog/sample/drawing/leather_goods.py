"""Draws wallets and belts."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import arc, box, oval, smooth
from catalog.sample.drawing.paint import Volume, body, edge, emblem, metal, plain, stitches

_HARDWARE = ("#d8b04c", "#cfd4da", "#b98a5a", "#45484f")
_CARDS = ("#2d6cdf", "#e2b23c", "#d94f4f", "#3aa17e", "#5d5f70", "#f0ede4")


def wallet(b: Brush) -> None:
    """A closed bifold, a long wallet, or a card holder with cards showing."""
    {"bifold": _bifold, "long": _long_wallet, "card holder": _card_holder}[b.look.shape](b)


def _bifold(b: Brush) -> None:
    half, top, low = b.vary(36, 41), b.vary(20, 25), b.vary(76, 81)
    with b.group(transform="rotate(-2 50 50)"):
        body(b, box(51 - half, top - 2, 2 * half, low - top, 5), color=dark(b.color, 0.35), pattern="plain")
    front = box(50 - half, top, 2 * half, low - top, 5)
    body(b, front, depth=2.4)
    inset = b.vary(2.4, 4)
    stitches(b, box(50 - half + inset, top + inset, 2 * (half - inset), low - top - 2 * inset, 3))
    if b.vary(0, 1) > 0.4:
        tall = b.vary(10, 14)
        y = b.vary(top + 20, low - 22)
        plain(
            b,
            f"M{50 + half + 3},{y}H{32 + half}a{tall / 2},{tall / 2} 0 0 0 0,{tall}H{50 + half + 3}z",
            dark(b.color, 0.2),
            material=b.look.material,
        )
        metal(b, oval(32 + half, y + tall / 2, 2.6), b.pick(_HARDWARE))
    else:
        b.line(f"M{50 - half},{b.vary(40, 60)}q{half},{b.vary(-8, 8)} {2 * half},0", dark(b.color, 0.5), 0.8)
    emblem(b, 50 + b.pick((0, -22, -22)), b.pick((50, low - 12, top + 12)), b.vary(3.5, 6.5))


def _long_wallet(b: Brush) -> None:
    half, top, low = b.vary(40, 44), b.vary(27, 32), b.vary(68, 74)
    hard = b.pick(_HARDWARE)
    body(b, box(50 - half, top, 2 * half, low - top, 4.5), depth=2.4)
    stitches(b, box(52.4 - half, top + 2.4, 2 * half - 4.8, low - top - 4.8, 3))
    if b.vary(0, 1) > 0.5:
        y = top + b.vary(4, 8)
        b.line(f"M{51 - half},{y}H{49 + half}", dark(hard, 0.5), 2)
        b.line(f"M{51 - half},{y}H{49 + half}", light(hard, 0.3), 1.2, stroke_dasharray="0.8 0.7")
        metal(b, box(44 + half, y - 1.5, 3, 8, 1.2), hard)
    else:
        x = b.vary(58, 70)
        tab = f"M{x},{top - 1}h16v{low - top - 8}a8,8 0 0 1 -16,0z"
        plain(b, tab, dark(b.color, 0.22), material=b.look.material, depth=1.2)
        metal(b, oval(x + 8, low - 9, 3), hard)
    emblem(b, b.vary(26, 40), b.vary(46, 56), b.vary(4, 6.5))


def _card_holder(b: Brush) -> None:
    half, top, low = b.vary(29, 34), b.vary(32, 38), b.vary(82, 86)
    count = b.pick((1, 2, 3))
    for k in range(count):
        card = box(53 - half, top - 6 * (count - k) - 4, 2 * half - 6, 30, 3)
        plain(b, card, b.pick(_CARDS))
        b.fill(box(58 - half, top - 6 * (count - k), 9, 2.2, 0.8), "#fff", fill_opacity=0.6)
    body(b, box(50 - half, top, 2 * half, low - top, 4.5), depth=2.2)
    slots, dip = b.pick((1, 2, 3)), b.vary(0, 6)
    for k in range(slots):
        y = top + 11 + 11 * k
        slot = f"M{50 - half},{y}H{44 - dip}Q50,{y + dip * 1.3} {56 + dip},{y}H{50 + half}"
        b.line(slot, dark(b.color, 0.6), 1.1)
        b.line(slot, light(b.color, 0.3), 0.4, transform="translate(0 0.9)")
    stitches(b, f"M{52.2 - half},{top + 2}V{low - 2.2}H{47.8 + half}V{top + 2}")
    emblem(b, 50 + b.pick((0, 0, 18, -18)), low - b.vary(7, 9), b.vary(2.8, 4.2))


def belt(b: Brush) -> None:
    """A belt rolled up (seen from the side, buckle in front) or lying in a loop."""
    (_rolled if b.look.shape == "rolled" else _looped)(b)


def _rolled(b: Brush) -> None:
    wide, radius, squeeze = b.vary(24, 32), b.vary(34, 39), b.vary(0.34, 0.46)
    y = 36.0
    rings = b.pick((3, 4, 5))
    down = radius * squeeze
    side = (
        f"M{50 - radius},{y}A{radius},{down} 0 0 0 {50 + radius},{y}V{y + wide}A{radius},{down} "
        f"0 0 1 {50 - radius},{y + wide}z"
    )
    b.fill(oval(50, y, radius, down), dark(b.color, 0.55))
    for k in range(rings):
        r = radius - 2 - k * (radius - 6) / rings
        b.line(oval(50, y, r, r * squeeze), dark(b.color, 0.15), 2.6)
        b.line(oval(50, y, r, r * squeeze), light(b.color, 0.15), 1.0)
    body(b, side, volume=Volume.TUBE, depth=1.6)
    for edge_y in (y + 2.4, y + wide - 2.4):
        stitches(b, f"M{51 - radius},{edge_y}A{radius},{down} 0 0 0 {49 + radius},{edge_y}")
    _buckle(b, 50 + b.vary(-9, 9), y + down + wide / 2, wide)


def _looped(b: Brush) -> None:
    wide, radius = b.vary(9, 12), b.vary(33, 37)
    turns = oval(50, 48, radius) + oval(50, 48, radius - wide)
    body(b, turns, depth=1.8)
    for r in (radius - 1.7, radius - wide + 1.7):
        stitches(b, oval(50, 48, r))
    tail = smooth(
        [
            (50 - radius * 0.2, 48 + radius - wide),
            (78, 48 + radius - wide + 1),
            (93, 40 + radius),
            (95, 43 + radius + wide * 0.4),
            (80, 50 + radius + 3),
            (50 - radius * 0.2, 48 + radius + 1),
        ],
        tension=0.7,
    )
    body(b, tail, depth=1.4)
    for k in range(b.pick((3, 4, 5))):
        b.fill(oval(66 + 4.2 * k, 49.5 + radius - wide / 2 - 0.5 * k, 1.1), dark(b.color, 0.75))
    b.line(arc(50, 48, radius - wide * 0.3, 200, 290), "#fff", 0.8, stroke_opacity=0.25)
    _buckle(b, 40 - b.vary(0, 8), 48 + radius - wide / 2 - 1, wide)
    plain(b, box(53, 47 + radius - wide, 3.5, wide + 3, 1), dark(b.color, 0.25), material=b.look.material)


def _buckle(b: Brush, x: float, y: float, wide: float) -> None:
    hard, tall = b.pick(_HARDWARE), wide * 1.24
    across = tall * b.vary(0.75, 1.15)
    thick = max(1.6, wide * 0.12)
    kind = b.pick(("frame", "round", "plate"))
    if kind == "plate":
        plate = box(x - across / 2, y - tall / 2, across, tall, b.vary(1, 5))
        metal(b, plate, hard)
        edge(b, plate, 1.4, 0.5)
        emblem(b, x, y, wide * 0.24)
        return
    if kind == "frame":
        frame = box(x - across / 2, y - tall / 2, across, tall, 3) + box(
            x - across / 2 + thick, y - tall / 2 + thick, across - 2 * thick, tall - 2 * thick, 2
        )
    else:
        frame = oval(x, y, across / 2, tall / 2) + oval(x, y, across / 2 - thick, tall / 2 - thick)
    metal(b, frame, hard)
    metal(b, box(x - across / 2, y - thick * 0.45, across, thick * 0.9, thick * 0.4), hard, volume=Volume.ROLL)
    plain(
        b,
        box(x + across / 2 + 2, y - wide / 2 - 0.8, 3.6, wide + 1.6, 1),
        dark(b.color, 0.25),
        material=b.look.material,
    )
    emblem(b, x - across / 2 - wide * 0.32, y, wide * 0.13)
