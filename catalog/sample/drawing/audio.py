"""Draws headphones, earbuds and speakers."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light, mix
from catalog.sample.drawing.geometry import box, oval, smooth
from catalog.sample.drawing.paint import Volume, body, edge, emblem, glow, metal, plain, stitches
from catalog.sample.drawing.patterns import tile

_LIGHTS = ("#34e2b0", "#4aa8ff", "#ff5c8a", "#ffb03a", "#b46bff")


def headphones(b: Brush) -> None:
    """Two cups on a band, seen from the front; gaming ones have a microphone and light."""
    shape = b.look.shape
    wide, tall = {
        "over-ear": (b.vary(19, 23), b.vary(33, 39)),
        "on-ear": (b.vary(15, 18), b.vary(23, 28)),
        "gaming": (b.vary(21, 25), b.vary(35, 41)),
    }[shape]
    reach, top, y = b.vary(33, 36), b.vary(9, 14), 64.0
    thick = b.vary(4.5, 8)
    band = f"M{50 - reach},{y - 8}C{50 - reach},{top - 4} {50 + reach},{top - 4} {50 + reach},{y - 8}"
    b.line(band, dark(b.color, 0.5), thick + 1.4)
    b.line(band, b.color, thick)
    b.line(band, light(b.color, 0.5), thick * 0.25, transform=f"translate(0 {-thick * 0.2})", stroke_opacity=0.7)
    pad = b.pick((dark(b.color, 0.45), b.second))
    inner = f"M{50 - reach * 0.62},{top + 15}Q50,{top + 3} {50 + reach * 0.62},{top + 15}"
    b.line(inner, dark(pad, 0.3), thick * 0.95, transform=f"translate(0 {thick * 0.5})")
    b.line(inner, pad, thick * 0.7, transform=f"translate(0 {thick * 0.5})")
    if b.look.material == "leather":
        stitches(b, band)
    style, glowing = b.pick(("disc", "ring", "grill")), b.pick(_LIGHTS)
    for side in (-1, 1):
        metal(
            b,
            box(50 + side * reach - 2, y - tall * 0.5 - b.vary(8, 12), 4, tall * 0.5, 1.5),
            b.pick(("#c3c8ce", "#3a3d43")),
            volume=Volume.TUBE,
        )
        _cup(b, side, (50 + side * (reach + 1), y), (wide, tall), style)
        if shape == "gaming":
            b.line(oval(50 + side * (reach + 2.5), y, wide * 0.36, tall * 0.4), glowing, 1.1, stroke_opacity=0.9)
    if shape == "gaming":
        boom = f"M{50 - reach},{y + tall * 0.36}C{50 - reach + 4},{y + tall * 0.5 + 8} 34,94 {b.vary(42, 48)},93"
        b.line(boom, "#26282d", 2.2)
        plain(b, oval(46, 92.6, 4.5, 2.8), "#26282d")


def _cup(b: Brush, side: int, center: tuple[float, float], size: tuple[float, float], style: str) -> None:
    (x, y), (wide, tall) = center, size
    cushion = dark(b.color, 0.55)
    plain(
        b,
        box(x - side * wide * 0.36 - wide * 0.26, y - tall * 0.46, wide * 0.52, tall * 0.92, wide * 0.26),
        cushion,
        material="leather",
        depth=1.5,
    )
    cup = box(x - wide * 0.5 + side * 1.5, y - tall / 2, wide, tall, wide * (0.48 if b.look.shape != "gaming" else 0.3))
    body(b, cup, depth=2.6)
    b.fill(cup, b.radial([(0, "#fff", 0.25), (0.5, "#fff", 0.0), (1, "#000", 0.28)], x=0.35, y=0.25, radius=0.9))
    plate_x, accent = x + side * 1.5, b.second
    plate = box(plate_x - wide * 0.3, y - tall * 0.33, wide * 0.6, tall * 0.66, wide * 0.28)
    if style == "disc":
        plain(b, plate, mix(b.color, accent, 0.7))
    elif style == "ring":
        b.line(plate, accent, 1.4)
    else:
        b.fill(plate, dark(b.color, 0.5))
        b.fill(plate, mesh(b, light(b.color, 0.25)))
    emblem(b, plate_x, y, wide * 0.19)


def mesh(b: Brush, color: str) -> str:
    """The paint of a perforated grill; the distance of its holes is the product's own."""
    step = b.vary(1.7, 2.6)
    holes = oval(step / 4, step / 4, step * 0.17) + oval(step * 0.75, step * 0.75, step * 0.17)
    return tile(b, (step, step), f'<path d="{holes}" fill="{color}"/>')


def earbuds(b: Brush) -> None:
    """A pair with its charging case, a neckband, or a pair with hooks."""
    shape = b.look.shape
    if shape == "neckband":
        _neckband(b)
        return
    _case(b)
    size, lift = b.vary(0.92, 1.08), b.vary(-2, 3)
    tip, accent = b.pick(("#f3f2ee", "#2b2d31")), b.pick((b.second, dark(b.color, 0.35), "#c9ced4"))
    for side in (-1, 1):
        with b.group(
            transform=(
                f"translate({50 + side * 20} {32 + lift}) scale({side * size} {size}) rot"
                f"ate({8 if shape != 'bean' else 0})"
            )
        ):
            _bud(b, tip, accent)


def _bud(b: Brush, tip: str, accent: str) -> None:
    """One bud around (0, 0), its tip to the left."""
    shape = b.look.shape
    if shape == "hook":
        hook = "M2,-8C6,-30 28,-26 24,-2C22,10 16,16 12,22"
        b.line(hook, dark(b.color, 0.45), 4.2)
        b.line(hook, b.color, 3.2)
    if shape == "stem":
        body(b, box(1, -4, 8.5, 36, 4.2), volume=Volume.TUBE, depth=1)
        metal(b, box(2, 29, 6.5, 3.4, 1.6), "#c9ced4", volume=Volume.TUBE)
        b.fill(box(3.6, 8, 3.2, 9, 1.6), accent)
    plain(b, smooth([(-17, -5), (-9, -7), (-7, 6), (-15, 6)]), tip, material="silicone")
    head = (
        oval(0, 0, 12, 11.5)
        if shape != "bean"
        else smooth([(-10, -8), (6, -15), (15, -2), (8, 13), (-6, 12), (-12, 2)])
    )
    body(b, head, depth=2.2)
    b.fill(head, b.radial([(0, "#fff", 0.4), (0.35, "#fff", 0.05), (0.6, "#000", 0.0), (1, "#000", 0.34)]))
    if shape != "stem":
        b.line(oval(2, 0, 6.4), accent, 1.2)
        emblem(b, 2, 0, 3.2)
    else:
        b.fill(oval(-2, -1, 3.6, 2.4), dark(b.color, 0.6))


def _case(b: Brush) -> None:
    half, tall = b.vary(27, 33), b.vary(26, 32)
    y = 94 - tall
    corner = b.vary(8, 15)
    plain(b, box(50 - half, y - 3, 2 * half, tall, corner), dark(b.color, 0.35), material=b.look.material)
    body(b, box(50 - half, y, 2 * half, tall, corner), depth=2.6)
    lid = y + tall * b.vary(0.28, 0.4)
    b.line(f"M{50 - half + 0.5},{lid}H{50 + half - 0.5}", dark(b.color, 0.55), 0.9)
    b.line(f"M{50 - half + 0.5},{lid + 0.9}H{50 + half - 0.5}", light(b.color, 0.5), 0.5)
    b.fill(oval(50, lid + 4, 1.1), b.pick(_LIGHTS))
    emblem(b, 50 + b.pick((0, 0, -half * 0.6)), lid + (y + tall - lid) * 0.62, b.vary(2.8, 4.2))
    glow(b, box(50 - half * 0.75, y + 3, half, 1.4, 0.7), 0.5, 0.5)


def _neckband(b: Brush) -> None:
    reach, thick = b.vary(29, 34), b.vary(5, 7.5)
    band = (
        f"M{50 - reach},66C{50 - reach - 9},30 {50 - reach * 0.6},10 50,10C{50 + reach * 0.6},10 "
        f"{50 + reach + 9},30 {50 + reach},66"
    )
    for color, width in ((dark(b.color, 0.5), thick + 1), (b.color, thick), (light(b.color, 0.45), thick * 0.22)):
        b.line(band, color, width)
    tip, accent = b.pick(("#f3f2ee", "#2b2d31")), b.pick((b.second, "#c9ced4"))
    for side in (-1, 1):
        b.line(
            f"M{50 + side * reach},82C{50 + side * reach},98 {50 + side * 12},96 {50 + side * 11},74", "#2b2d31", 1.2
        )
        body(b, box(50 + side * reach - thick * 0.85, 58, thick * 1.7, 27, thick * 0.7), volume=Volume.TUBE, depth=1)
        b.fill(box(50 + side * reach - 1, b.vary(63, 70), 2, 7, 1), accent)
        with b.group(transform=f"translate({50 + side * 11} {66}) scale({side * 0.8} 0.8)"):
            _bud(b, tip, accent)
    emblem(b, 50 - reach, 80, 2.2)


def speaker(b: Brush) -> None:
    """A grill with its drivers and buttons: upright cylinder, box, ball or lying pill."""
    {"cylinder": _cylinder, "box": _box, "ball": _ball, "pill": _pill}[b.look.shape](b)


def _grill(b: Brush, path: str, volume: Volume) -> None:
    body(b, path, volume=volume, depth=2.2)
    if b.look.material != "wood":
        b.fill(path, mesh(b, dark(b.color, 0.45)), fill_opacity=0.5)


def _cylinder(b: Brush) -> None:
    half, top, low = b.vary(21, 26), b.vary(12, 17), b.vary(86, 90)
    rim = half * 0.24
    wall = f"M{50 - half},{top}V{low}A{half},{rim} 0 0 0 {50 + half},{low}V{top}A{half},{rim} 0 0 1 {50 - half},{top}z"
    _grill(b, wall, Volume.TUBE)
    base = b.vary(5, 12)
    trim = b.pick(("#2b2d31", b.second, dark(b.color, 0.4)))
    foot = (
        f"M{50 - half},{low - base}A{half},{rim} 0 0 0 {50 + half},{low - base}V{low}"
        f"A{half},{rim} 0 0 1 {50 - half},{low}z"
    )
    plain(b, foot, trim, volume=Volume.TUBE)
    plain(b, oval(50, top, half, rim), trim)
    b.line(oval(50, top, half * 0.86, rim * 0.82), b.pick(_LIGHTS), b.vary(0.6, 1.6))
    for k in range(b.pick((2, 3, 4))):
        b.fill(oval(50 + (k - 1.5) * half * 0.32, top, 1.5, 0.8), "#e8eaee")
    emblem(b, 50, b.vary(44, 66), b.vary(5, 8))


def _box(b: Brush) -> None:
    half, top = b.vary(25, 31), b.vary(8, 13)
    case = box(50 - half, top, 2 * half, 100 - 2 * top, b.vary(3, 9))
    body(b, case, depth=3)
    edge(b, case, 1.2, 0.2)
    big = half * b.vary(0.66, 0.78)
    low = 100 - top - big - 6
    _driver(b, 50, low, big)
    small = half * b.vary(0.3, 0.42)
    for x in b.pick(((50.0,), (50 - half * 0.45, 50 + half * 0.45))):
        _driver(b, x, top + small + 6, small)
    emblem(b, 50 + half * 0.74, 100 - top - 5, b.vary(2.4, 3.6))


def _driver(b: Brush, x: float, y: float, radius: float) -> None:
    metal(b, oval(x, y, radius), b.pick(("#aab0b8", "#4a4d54", "#d8b04c")))
    cone = b.pick(("#1e2024", b.second, "#d7b36a"))
    b.fill(
        oval(x, y, radius * 0.9),
        b.radial([(0, light(cone, 0.12)), (0.7, cone), (1, dark(cone, 0.5))], x=0.5, y=0.5, radius=0.5),
    )
    b.line(oval(x, y, radius * 0.72), dark(cone, 0.5), radius * 0.06)
    b.fill(oval(x, y, radius * b.vary(0.28, 0.42)), b.radial([(0, light(cone, 0.45)), (1, dark(cone, 0.35))]))


def _ball(b: Brush) -> None:
    radius = b.vary(36, 40)
    plain(b, box(36, 50 + radius - 5, 28, 8, 3), "#2b2d31")
    _grill(b, oval(50, 49, radius), Volume.BALL)
    trim, y = b.pick((b.second, "#2b2d31", "#c9ced4")), 49 - radius * b.vary(0.5, 0.75)
    half = (radius**2 - (49 - y) ** 2) ** 0.5
    b.line(f"M{50 - half},{y}Q50,{y + 9} {50 + half},{y}", trim, b.vary(1.5, 4))
    b.line(f"M{50 - half * 0.4},{y - 2}h{half * 0.8}", b.pick(_LIGHTS), 1.4, stroke_opacity=0.9)
    emblem(b, 50 + b.vary(-8, 8), b.vary(52, 64), b.vary(6, 9))
    glow(b, oval(38, 32, 8, 5), 0.35, 2)


def _pill(b: Brush) -> None:
    half, tall = b.vary(41, 44), b.vary(32, 40)
    y = 50 - tall / 2
    trim = b.pick((b.second, "#2b2d31", dark(b.color, 0.4)))
    b.line(f"M{50 - half + 6},{y + 6}C{44 - half},{y - 14} {50 - half + 20},{y - 14} {50 - half + 22},{y + 2}", trim, 2)
    _grill(b, box(50 - half, y, 2 * half, tall, tall * b.vary(0.25, 0.5)), Volume.ROLL)
    for side in (-1, 1):
        plain(b, oval(50 + side * (half - 2.5), 50, b.vary(3.5, 6), tall * 0.42), trim, volume=Volume.ROLL)
    for k in range(b.pick((3, 4, 5))):
        plain(b, box(36 + 7 * k, y + 1.5, 4.6, 2.6, 1.3), trim, material="silicone")
    emblem(b, 50 + b.pick((0, 0, -20, 20)), 53, b.vary(5, 8))
    if b.vary(0, 1) > 0.5:
        b.line(f"M{50 - half * 0.6},{y + tall - 2}h{half * 1.2}", b.pick(_LIGHTS), 1)
