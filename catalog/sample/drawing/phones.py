"""Draws phones and phone cases."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light, mix
from catalog.sample.drawing.geometry import box, oval, polygon
from catalog.sample.drawing.paint import Volume, body, edge, emblem, glow, metal, plain, stitches

_SCREENS = ("#3a6ea5", "#e0729b", "#f0a04b", "#4fae8b", "#7a5fc7", "#23304f", "#d95d5d")


def phone(b: Brush) -> None:
    """A slab seen from front and back, a flip phone standing open, or a phone with keys."""
    {"slab": _slab, "flip": _flip, "keypad": _keypad}[b.look.shape](b)


def _slab(b: Brush) -> None:
    wide, tall, corner = b.vary(37, 41), b.vary(77, 83), b.vary(4, 8)
    top = 50 - tall / 2
    x = 50.0 - wide + b.vary(4, 8)
    back = box(x, top - 2, wide, tall, corner)
    body(b, back, depth=1.6)
    cameras(b, x + 3, top + 1, b.vary(10, 13))
    emblem(b, x + wide * 0.36, b.vary(50, 58), b.vary(3.5, 5.5))
    left = 100 - x - wide
    front = box(left, top + 3, wide, tall, corner)
    metal(b, front, mix(b.color, "#aeb4bb", 0.35))
    _screen(b, (left, top + 3), (wide, tall), corner)


def cameras(b: Brush, x: float, y: float, size: float) -> None:
    """A camera bump whose lens count and layout are the product's own."""
    layout = b.pick(("square", "column", "three", "bar"))
    wide, tall = {
        "square": (size, size),
        "column": (size * 0.6, size * 1.5),
        "three": (size * 1.1, size * 1.1),
        "bar": (size * 1.7, size * 0.6),
    }[layout]
    bump = box(x, y, wide, tall, size * 0.25)
    plain(b, bump, mix(b.color, "#17181c", b.pick((0.15, 0.6))), depth=0.8)
    spots = {
        "square": [(0.3, 0.3), (0.7, 0.7)],
        "column": [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)],
        "three": [(0.28, 0.28), (0.28, 0.72), (0.72, 0.5)],
        "bar": [(0.2, 0.5), (0.5, 0.5)],
    }[layout]
    for across, down in spots:
        lens(b, x + wide * across, y + tall * down, size * 0.19)
    b.fill(oval(x + wide * 0.82, y + tall * (0.2 if layout != "bar" else 0.5), size * 0.07), "#fff3d0")


def lens(b: Brush, x: float, y: float, radius: float) -> None:
    """A camera lens with its ring and reflections."""
    b.fill(oval(x, y, radius), "#9aa0a8")
    b.fill(oval(x, y, radius * 0.88), "#101217")
    b.fill(oval(x, y, radius * 0.6), b.radial([(0, "#6f86c9"), (0.4, "#273056"), (1, "#06070b")], x=0.4, y=0.35))
    b.fill(oval(x - radius * 0.22, y - radius * 0.28, radius * 0.16), "#fff", fill_opacity=0.9)


def _screen(b: Brush, corner: tuple[float, float], size: tuple[float, float], radius: float) -> None:
    (x, y), (wide, tall) = corner, size
    b.fill(box(x + 0.8, y + 0.8, wide - 1.6, tall - 1.6, radius - 0.6), "#0b0c10")
    rim = b.vary(1.6, 2.6)
    view = box(x + rim, y + rim, wide - 2 * rim, tall - 2 * rim, radius - rim * 0.6)
    first, second = b.pick(_SCREENS), b.pick(_SCREENS)
    b.fill(view, b.linear([(0, light(first, 0.15)), (1, dark(second, 0.25))], right=0.5))
    with b.group(clip_path=b.clip(view)):
        if b.vary(0, 1) > 0.5:
            b.fill(
                oval(x + wide * b.vary(0.2, 0.8), y + tall * b.vary(0.25, 0.5), wide * b.vary(0.2, 0.4)),
                light(second, 0.35),
                fill_opacity=0.5,
            )
        else:
            for k in range(3):
                level = y + tall * (0.5 + 0.13 * k)
                b.fill(
                    (
                        f"M{x},{level}Q{x + wide * 0.3},{level - b.vary(4, 16)} {x + wide * 0.6},{level}"
                        f"T{x + wide},{level - 4}V{y + tall}H{x}z"
                    ),
                    dark(second, 0.2 * k),
                    fill_opacity=0.6,
                )
        for k in range(4):
            b.fill(
                box(x + wide * (0.12 + 0.205 * k), y + tall - 12, wide * 0.14, wide * 0.14, 1.4),
                b.pick(("#ffffff", "#ffd166", "#7bd389", "#6fb7ff")),
                fill_opacity=0.85,
            )
        b.fill(box(x + wide * 0.2, y + tall * 0.13, wide * 0.6, 5, 1.5), "#fff", fill_opacity=0.85)
        b.fill(polygon([(x + wide * 0.6, y), (x + wide, y), (x + wide, y + tall * 0.6)]), "#fff", fill_opacity=0.13)
    b.fill(b.pick((oval(x + wide / 2, y + 4.4, 1.2), box(x + wide / 2 - 5, y + 3.2, 10, 2.6, 1.3))), "#050608")


def _flip(b: Brush) -> None:
    wide, corner = b.vary(36, 42), b.vary(4, 9)
    x = 50 - wide / 2
    body(b, box(x, 51, wide, 42, corner), depth=1.8)
    cells = b.pick((3, 3, 4))
    key = b.pick((light(b.color, 0.5), dark(b.color, 0.5), b.second))
    for k in range(cells * 4):
        px, py = x + 3 + (k % cells) * (wide - 6) / cells, 66 + (k // cells) * 6.2
        plain(b, box(px + 0.6, py, (wide - 6) / cells - 1.2, 4.9, 1.4), key, depth=0.5)
    plain(b, oval(50, 60, 5.5, 4.6), key, depth=0.8)
    emblem(b, 50, 60, 1.9)
    metal(b, box(x + 3, 48.5, wide - 6, 4.5, 2), "#c3c8ce", volume=Volume.ROLL)
    metal(b, box(x, 6, wide, 43, corner), mix(b.color, "#b9bfc6", 0.25))
    body(b, box(x + 0.8, 6.8, wide - 1.6, 41.4, corner), depth=1.4)
    _screen(b, (x + 2.4, 8.6), (wide - 4.8, 37), max(2.4, corner - 2))


def _keypad(b: Brush) -> None:
    wide, corner = b.vary(37, 43), b.vary(5, 13)
    x = 50 - wide / 2
    case = box(x, 5, wide, 90, corner)
    body(b, case, depth=2.4)
    screen = b.vary(30, 38)
    b.fill(box(x + 3.6, 13, wide - 7.2, screen, 2), "#15171b")
    b.fill(
        box(x + 5, 14.5, wide - 10, screen - 3, 1),
        b.linear([(0, "#cfe3b8"), (1, "#92b58a")] if b.vary(0, 1) > 0.5 else [(0, "#7fb5e6"), (1, "#2d4f8e")]),
    )
    for k in range(3):
        b.fill(box(x + 7, 18 + 5 * k, b.vary(8, wide - 16), 2, 0.5), "#1b2a22", fill_opacity=0.7)
    b.fill(box(44, 8.6, 12, 1.8, 0.9), dark(b.color, 0.6))
    key = b.pick(("#f2f0ea", dark(b.color, 0.5), b.second))
    round_keys, top = b.vary(0, 1) > 0.5, 13 + screen + 12
    plain(b, box(44.5, top - 9, 11, 6.5, 3), key)
    emblem(b, 50, top - 5.8, 1.9)
    for k in range(12):
        px, py = x + 4 + (k % 3) * (wide - 8) / 3, top + (k // 3) * (90 - top) / 4
        wide_key = (wide - 8) / 3 - 1.4
        plain(
            b,
            oval(px + wide_key / 2 + 0.7, py + 2.6, wide_key / 2, 2.5)
            if round_keys
            else box(px + 0.7, py, wide_key, 5, 1),
            key,
            depth=0.5,
        )
        b.fill(box(px + wide_key / 2, py + 2, 1.4, 1.4), dark(key, 0.6) if key != dark(b.color, 0.5) else "#fff")


def phone_case(b: Brush) -> None:
    """The back of a case with its camera hole, or a wallet case standing open."""
    if b.look.shape == "wallet":
        _wallet_case(b)
        return
    rugged = b.look.shape == "rugged"
    wide, tall, corner = b.vary(43, 48), b.vary(84, 89), b.vary(6, 10)
    x, y = 50 - wide / 2, 50 - tall / 2
    if rugged:
        frame = b.pick(("#2b2d31", b.second, dark(b.color, 0.5)))
        plain(b, box(x - 2.5, y - 2, wide + 5, tall + 4, corner + 2), frame, material="rubber", depth=2)
        for cx, cy in (
            (x - 1, y - 0.5),
            (x + wide + 1, y - 0.5),
            (x - 1, y + tall + 0.5),
            (x + wide + 1, y + tall + 0.5),
        ):
            plain(b, oval(cx, cy, 5), frame, material="rubber")
        bite = b.vary(4, 8)
        panel = polygon(
            [
                (x + 3 + bite, y + 3),
                (x + wide - 3 - bite, y + 3),
                (x + wide - 3, y + 3 + bite),
                (x + wide - 3, y + tall - 3 - bite),
                (x + wide - 3 - bite, y + tall - 3),
                (x + 3 + bite, y + tall - 3),
                (x + 3, y + tall - 3 - bite),
                (x + 3, y + 3 + bite),
            ]
        )
    else:
        plain(b, box(x + wide - 1, y + b.vary(20, 28), 2, 10, 1), dark(b.color, 0.3))
        panel = box(x, y, wide, tall, corner)
    body(b, panel, depth=3)
    if b.look.material == "leather" and not rugged:
        stitches(b, box(x + 2.4, y + 2.4, wide - 4.8, tall - 4.8, corner - 2))
    _camera_hole(b, x, y, wide)
    emblem(b, 50 + b.pick((0, 0, -8)), b.vary(54, 64), b.vary(5, 9))
    if b.vary(0, 1) > 0.65:
        ring = oval(50, y + tall - 16, 7) + oval(50, y + tall - 16, 4.8)
        metal(b, ring, b.pick(("#d8b04c", "#c9ced4")))
    glow(b, box(x + 2.5, y + 12, 1.2, tall - 40, 0.6), 0.35, 0.5)


def _camera_hole(b: Brush, x: float, y: float, wide: float) -> None:
    size = b.vary(14, 18)
    kind = b.pick(("square", "pill", "bar"))
    hole = {"square": (size, size), "pill": (size * 0.62, size * 1.5), "bar": (wide - 14, size * 0.62)}[kind]
    left = x + 5 if kind != "bar" else x + 7
    rim = box(left - 1, y + 4, hole[0] + 2, hole[1] + 2, 4.5)
    plain(b, rim, dark(b.color, 0.25))
    b.fill(box(left, y + 5, *hole, 4), "#17181c")
    for k in range(b.pick((2, 3))):
        across, down = {
            "square": (0.3 + 0.4 * (k % 2), 0.3 + 0.4 * (k // 1 % 3 > 0)),
            "pill": (0.5, 0.22 + 0.28 * k),
            "bar": (0.16 + 0.25 * k, 0.5),
        }[kind]
        lens(b, left + hole[0] * across, y + 5 + hole[1] * down, size * 0.17)


def _wallet_case(b: Brush) -> None:
    wide, tall = b.vary(39, 42), b.vary(76, 82)
    y = 50 - tall / 2
    left = box(50 - wide - 1, y, wide + 1, tall, 4)
    plain(b, left, dark(b.color, 0.15), material=b.look.material)
    for k in range(b.pick((2, 3, 4))):
        top = y + 12 + 11 * k
        plain(
            b, box(53 - wide, top, wide - 6, 14, 1.5), b.pick(("#2d6cdf", "#e2b23c", "#d94f4f", "#3aa17e", "#f0ede4"))
        )
        plain(
            b, box(51.5 - wide, top + 4, wide - 3, y + tall - top - 8, 1), dark(b.color, 0.08), material=b.look.material
        )
    front = box(50, y, wide + 1, tall, 4)
    body(b, front, depth=2.4)
    edge(b, box(48, y, 4, tall), 1, 0.1)
    stitches(b, box(52, y + 2, wide - 3, tall - 4, 3) + box(51 - wide, y + 2, wide - 3, tall - 4, 3))
    _camera_hole(b, 50, y + 2, wide)
    plain(b, box(48 + wide - 3, b.vary(44, 50), 9, 8, 3), dark(b.color, 0.3), material=b.look.material)
    metal(b, oval(51.5 + wide, 51, 1.8), b.pick(("#d8b04c", "#c9ced4")))
    emblem(b, 50 + wide * 0.5, b.vary(58, 72), b.vary(4.5, 7))
