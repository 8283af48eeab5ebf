"""Draws handbags and backpacks, seen from the front."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark
from catalog.sample.drawing.geometry import both_sides, box, oval, polygon, smooth
from catalog.sample.drawing.paint import Volume, body, edge, emblem, metal, plain, stitches

_HARDWARE = ("#d8b04c", "#cfd4da", "#8d6b4f", "#45484f")


def handbag(b: Brush) -> None:
    """A tote, satchel, bucket bag or clutch."""
    {"tote": _tote, "satchel": _satchel, "bucket": _bucket, "clutch": _clutch}[b.look.shape](b)


def _tote(b: Brush) -> None:
    top, flare = b.vary(33, 41), b.vary(-3, 5)
    reach, rise = b.vary(11, 17), b.vary(7, 14)
    trim = b.pick((dark(b.color, 0.35), b.second, "#6b4630"))
    for shade, shift in ((0.35, 1.6), (0.0, 0.0)):
        handle = (
            f"M{50 - reach},{top + 5 - shift}C{50 - reach},{rise - 4 - shift} {50 + reach},{rise - 4 - shift} "
            f"{50 + reach},{top + 5 - shift}"
        )
        b.line(handle, dark(trim, 0.3 + shade), 3.6)
        b.line(handle, dark(trim, shade), 2.6)
    half = b.vary(34, 39)
    outline = smooth(both_sides([(50 + half + flare, top), (50 + half, 70), (50 + half - 3, 91)]), tension=0.25)
    body(b, outline, depth=2.4)
    if b.vary(0, 1) > 0.5:
        plain(
            b,
            polygon([(50 - half, top), (50 + half, top), (50 + half, top + 6), (50 - half, top + 6)]),
            trim,
            material=b.look.material,
        )
    stitches(b, f"M{53 - half},{top + 8}H{47 + half}M{54 - half},88H{46 + half}")
    tab = b.vary(8, 16)
    for side in (-1, 1):
        plain(b, box(50 + side * reach - 2.4, top + 1, 4.8, tab, 2), trim, material="leather")
        metal(b, oval(50 + side * reach, top + tab - 2, 1.1), b.pick(_HARDWARE))
    emblem(b, 50 + b.pick((0, 0, -20, 20)), b.vary(58, 72), b.vary(3.2, 6))


def _satchel(b: Brush) -> None:
    hard = b.pick(_HARDWARE)
    top, half = b.vary(34, 40), b.vary(36, 41)
    reach, rise = b.vary(10, 15), b.vary(14, 20)
    b.line(
        f"M{50 - reach},{top + 3}C{50 - reach},{rise} {50 + reach},{rise} {50 + reach},{top + 3}",
        dark(b.color, 0.5),
        4.4,
    )
    b.line(
        f"M{50 - reach},{top + 3}C{50 - reach},{rise} {50 + reach},{rise} {50 + reach},{top + 3}",
        dark(b.color, 0.12),
        3,
    )
    body(b, box(50 - half, top, 2 * half, 88 - top, 7), depth=2.4)
    fold, dip = b.vary(56, 68), b.vary(0, 8)
    flap = (
        f"M{50 - half - 1},{top + 4}Q{50 - half},{top - 2} {55 - half},{top - 2}H{45 + half}"
        f"Q{50 + half},{top - 2} {51 + half},{top + 4}V{fold - 6}Q{50 + half},{fold} "
        f"{44 + half},{fold}Q50,{fold + 2 * dip} {56 - half},{fold}Q{50 - half},{fold} "
        f"{49 - half},{fold - 6}z"
    )
    body(b, flap, color=dark(b.color, 0.07), depth=2)
    stitches(
        b,
        (
            f"M{52 - half},{top + 4}V{fold - 5}Q{52 - half},{fold - 2} {57 - half},{fold - 2}"
            f"Q50,{fold - 2 + 2 * dip} {43 + half},{fold - 2}Q{48 + half},{fold - 2} {48 + half},{fold - 5}"
            f"V{top + 4}"
        ),
    )
    straps = b.pick(((50.0,), (32.0, 68.0)))
    for x in straps:
        if len(straps) == 2:
            plain(b, box(x - 3, top + 8, 6, fold - top + 4, 2), dark(b.color, 0.25), material="leather")
        metal(b, box(x - 4.5, fold + dip * 0.8 - 5, 9, 9, b.pick((1.2, 4.5))), hard)
        b.fill(box(x - 1.2, fold + dip * 0.8 - 2.5, 2.4, 4, 0.6), dark(hard, 0.6))
    emblem(b, b.pick((50, 30, 70)) if len(straps) == 1 else 50, top + b.vary(9, 14), b.vary(2.6, 4))


def _bucket(b: Brush) -> None:
    top, wide, low = b.vary(34, 40), b.vary(24, 29), b.vary(28, 33)
    cord = dark(b.color, 0.45)
    b.line(f"M{52 - wide},{top + 2}C{44 - wide * b.vary(0.2, 1)},2 {56 + wide * 0.4},-2 {48 + wide},{top + 2}", cord, 3)
    b.fill(oval(50, top, wide, 5), dark(b.color, 0.6))
    outline = (
        f"M{50 - wide},{top}A{wide},5 0 0 0 {50 + wide},{top}Q{50 + wide + 2},64 {50 + low},84"
        f"A{low},7 0 0 1 {50 - low},84Q{48 - wide},64 {50 - wide},{top}z"
    )
    body(b, outline, volume=Volume.TUBE, depth=2)
    base = f"M{50 - low + 0.6},{78}A{low},6 0 0 0 {50 + low - 0.6},78L{50 + low},84A{low},7 0 0 1 {50 - low},84z"
    plain(b, base, b.pick((dark(b.color, 0.3), b.second)), material=b.look.material, volume=Volume.TUBE)
    y = top + b.vary(9, 12)
    for k in range(6):
        metal(b, oval(50 - wide * 0.82 + k * wide * 0.33, y + 3.4 - abs(k - 2.5) * 1.1, 1.3), b.pick(_HARDWARE))
    b.line(f"M{51 - wide},{y - 1}Q50,{y + 9} {49 + wide},{y - 1}", cord, 1.3)
    knot = b.vary(12, 20)
    b.line(f"M50,{y + 4}l-4,{knot}M50,{y + 4}l3,{knot * 0.9}", cord, 1.4)
    plain(b, oval(50, y + 4, 2.4), cord, volume=Volume.BALL)
    stitches(b, f"M{51 - low},76.5A{low},6 0 0 0 {49 + low},76.5")
    emblem(b, 50 + b.vary(-9, 9), b.vary(66, 70), b.vary(3, 5))


def _clutch(b: Brush) -> None:
    hard = b.pick(_HARDWARE)
    half, top, low = b.vary(39, 43), b.vary(28, 33), b.vary(72, 78)
    if b.vary(0, 1) > 0.4:
        b.line(
            (
                f"M{46 + half},{top + 6}C98,{top + 20} 99,{low + 6} {50 + half - 8},{low + 12}"
                f"C{30 + half},{low + 16} {34 + half},{low - 10} {46 + half},{top + 8}"
            ),
            dark(b.color, 0.3),
            1.8,
        )
    body(b, box(50 - half, top, 2 * half, low - top, 4), depth=2.2)
    tip, across = b.vary(52, 64), b.pick((0.0, 0.0, -14.0, 14.0))
    kind = b.pick(("envelope", "straight", "curve"))
    ends = {
        "envelope": f"L{50 + across},{tip + 6}L{50 - half},{top + 6}",
        "straight": f"V{tip - 4}H{50 - half}",
        "curve": f"Q50,{tip * 2 - top} {50 - half},{top + 6}",
    }[kind]
    flap = (
        f"M{50 - half},{top + 4}Q{50 - half},{top} {54 - half},{top}H{46 + half}Q{50 + half},{top} "
        f"{50 + half},{top + 4}{ends}z"
    )
    body(b, flap, color=dark(b.color, 0.08), depth=1.8)
    spot = (50 + across * 0.9, tip + 2) if kind != "straight" else (50 + across, tip - 4)
    metal(
        b,
        b.pick(
            (
                oval(*spot, 3.6),
                box(spot[0] - 4.5, spot[1] - 2.5, 9, 5, 1),
                polygon(
                    [
                        (spot[0], spot[1] - 4.5),
                        (spot[0] + 4.5, spot[1]),
                        (spot[0], spot[1] + 4.5),
                        (spot[0] - 4.5, spot[1]),
                    ]
                ),
            )
        ),
        hard,
    )
    stitches(b, f"M{53 - half},{low - 2.5}H{47 + half}")
    emblem(b, 50 + b.pick((-26, 26)), b.vary(62, 66), b.vary(2.6, 4))


def backpack(b: Brush) -> None:
    """A backpack with straps showing at the sides, a front pocket and zips."""
    small = b.look.shape == "mini"
    half, top, low = (b.vary(27, 30), b.vary(20, 25), 88.0) if small else (b.vary(29, 33), b.vary(10, 15), 93.0)
    strap = dark(b.color, 0.45)
    for side in (-1, 1):
        b.line(
            (
                f"M{50 + side * half * 0.7},{top + 12}C{50 + side * (half + 11)},{top + 26} "
                f"{50 + side * (half + 10)},{low - 24} {50 + side * half * 0.9},{low - 6}"
            ),
            strap,
            4.5,
        )
    b.line(f"M42,{top + 3}C42,{top - 10} 58,{top - 10} 58,{top + 3}", strap, 3)
    round_top = 22 if b.look.shape != "roll-top" else 3
    outline = smooth(
        both_sides(
            [
                (50 + half * 0.55, top),
                (50 + half * 0.93, top + round_top * 0.55),
                (50 + half, top + 40),
                (50 + half, low - 8),
                (50 + half * 0.85, low),
            ]
        ),
        tension=0.75,
    )
    if b.look.shape == "roll-top":
        outline = smooth(
            both_sides(
                [
                    (50 + half * 0.86, top + 4),
                    (50 + half * 0.92, top + 30),
                    (50 + half, low - 8),
                    (50 + half * 0.9, low),
                ]
            ),
            tension=0.45,
        )
    body(b, outline, volume=Volume.FLAT, depth=3.4)
    if b.look.shape == "roll-top":
        _roll(b, half, top, strap)
    else:
        zipper = (
            f"M{50 - half * 0.86},{top + 30}C{50 - half * 0.86},{top + 4} {50 + half * 0.86},{top + 4} "
            f"{50 + half * 0.86},{top + 30}"
        )
        b.line(zipper, dark(b.color, 0.5), 1.7)
        b.line(zipper, "#d5d8dc", 0.7, stroke_dasharray="0.7 0.6")
    _pocket(b, half, top, low)


def _roll(b: Brush, half: float, top: float, strap: str) -> None:
    tall = b.vary(9, 13)
    body(b, box(49 - half * 0.9, top, half * 1.8 + 2, tall, 4), volume=Volume.ROLL)
    for side in b.pick(((0.0,), (-0.45, 0.45))):
        x = 50 + side * half
        plain(b, box(x - 2.2, top - 1, 4.4, tall + 22, 1), strap, material="canvas")
        metal(b, box(x - 3.6, top + tall + 9, 7.2, 5.5, 1), b.pick(_HARDWARE))


def _pocket(b: Brush, half: float, top: float, low: float) -> None:
    wide, high = half * b.vary(0.68, 0.84), low - b.vary(32, 40)
    panel = smooth(
        both_sides(
            [(50 + wide * 0.9, high), (50 + wide, high + 6), (50 + wide, low - 10), (50 + wide * 0.85, low - 4)]
        ),
        tension=0.5,
    )
    body(b, panel, color=b.pick((b.color, dark(b.color, 0.14), b.second)), pattern="plain", depth=2)
    edge(b, panel, 1, 0.1)
    seam = high + b.vary(4, 9)
    b.line(f"M{50 - wide * 0.9},{seam}H{50 + wide * 0.9}", dark(b.color, 0.6), 1.6)
    b.line(f"M{50 - wide * 0.9},{seam}H{50 + wide * 0.9}", "#d5d8dc", 0.6, stroke_dasharray="0.7 0.6")
    pull = b.pick((-0.8, 0.8, 0.0)) * wide
    metal(b, box(49 + pull, seam, 2, 6, 1), b.pick(_HARDWARE))
    stitches(b, f"M{50 - wide * 0.86},{low - 7}H{50 + wide * 0.86}")
    emblem(b, 50 + b.pick((0, -0.5, 0.5)) * wide, seam + (low - seam) * 0.5, b.vary(3, 5))
    if b.vary(0, 1) > 0.5:
        patch = box(44, high - b.vary(14, 20), 12, 8, 1.5)
        plain(b, patch, "#8a5a3a", material="leather")
    if b.vary(0, 1) > 0.6:
        b.line(f"M{50 - half * 0.7},{top + 34}l{half * 1.4},7m0,-7l{-half * 1.4},7", "#dfe2e6", 0.9)
