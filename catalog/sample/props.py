"""Randomness in, RGBA pictures of what else is in a shopper's photo out: coins, pens, cups ... and hands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from catalog.sample.drawing import outline_svg, render

_SKINS = (
    ("#f0c8a8", "#c98f6c"),
    ("#e0ac86", "#ad7650"),
    ("#c68a5e", "#8f5a38"),
    ("#8d5a3b", "#5e3823"),
    ("#5a3826", "#38211a"),
)
_PAINTS = ("#b23a3a", "#2f5d8a", "#3d7a4a", "#d8a531", "#6a4a86", "#30343a", "#c9c4ba", "#d07a3c", "#4a9aa0", "#8a5a44")
_SLEEVES = ("#30343a", "#5c6b7a", "#8a3a3a", "#c9c4ba", "#3a5a46", "#20304a")


def prop(rng: np.random.Generator, *, size_px: int) -> Image.Image:
    """One everyday thing seen from above, RGBA, square."""
    draw = _PROPS[int(rng.integers(len(_PROPS)))]
    return render(outline_svg(draw(rng), size_px=size_px))


def hand(rng: np.random.Generator, *, width_px: int) -> Image.Image:
    """A hand, RGBA, three times as high as wide: fingers that point up to the top edge, the arm below."""
    light, dark = _SKINS[int(rng.integers(len(_SKINS)))]
    sleeve = _SLEEVES[int(rng.integers(len(_SLEEVES)))]
    count = int(rng.integers(3, 5))
    tips = np.array([20.0, 4.0, 12.0, 34.0])[:count] + rng.uniform(0, 8, count)
    tips = tips - tips.min() + 3
    columns = np.linspace(50 - 11.5 * (count - 1), 50 + 11.5 * (count - 1), count)
    fingers = "".join(
        _finger(float(x), float(top), lean=float(rng.normal(0, 2.5)), light=light, dark=dark)
        for x, top in zip(columns, tips, strict=True)
    )
    half = 11.5 * count + 3
    thumb = _finger(50 - half + 4, 78, lean=-14, light=light, dark=dark) if rng.random() < 0.6 else ""
    wrist = half * 0.78
    edge = f"{50 - half - 5:.1f} 170 {50 - wrist:.1f} 190 {50 - wrist:.1f} 215"
    back = f"{50 + wrist:.1f} 190 {50 + half + 5:.1f} 170 {50 + half:.1f} 126"
    palm = (
        f'<path d="M{50 - half:.1f} 126 C{edge} V410 H{50 + wrist:.1f} V215 C{back} '
        f'q{-half:.1f} -18 {-2 * half:.1f} 0 z" fill="url(#skin)"/>'
        f'<rect x="{46 - wrist:.1f}" y="238" width="{2 * wrist + 8:.1f}" height="180" rx="6" fill="{sleeve}"/>'
        f'<rect x="{46 - wrist:.1f}" y="246" width="{2 * wrist + 8:.1f}" height="3" fill="#000" opacity="0.2"/>'
    )
    skin = (
        '<defs><linearGradient id="skin" x1="0" x2="1" y1="0" y2="0">'
        f'<stop offset="0" stop-color="{dark}"/><stop offset="0.35" stop-color="{light}"/>'
        f'<stop offset="0.75" stop-color="{light}"/><stop offset="1" stop-color="{dark}"/></linearGradient></defs>'
    )
    return render(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-15 0 130 390" width="{width_px}" height="{3 * width_px}">'
        f"{skin}{thumb}{palm}{fingers}</svg>"
    )


def _finger(x: float, top: float, *, lean: float, light: str, dark: str) -> str:
    """A rounded finger from the palm (y = 130) up to `top`, with a nail, knuckle lines and a shaded side."""
    left = x - 10.5
    turn = f'transform="rotate({lean:.1f} {x:.1f} 130)"'
    return (
        f'<g {turn}><rect x="{left:.1f}" y="{top:.1f}" width="21" height="{140 - top:.1f}" rx="10" fill="{dark}"/>'
        f'<rect x="{left + 1.5:.1f}" y="{top + 1:.1f}" width="16" height="{139 - top:.1f}" rx="8" fill="{light}"/>'
        f'<rect x="{left + 4.5:.1f}" y="{top + 3:.1f}" width="11" height="15" rx="5" fill="#f6ddd2" opacity="0.75"/>'
        f'<path d="M{left + 3:.1f} {top + 36:.1f} q7 3 14 0 M{left + 3:.1f} {top + 40:.1f} q7 3 14 0" '
        f'fill="none" stroke="{dark}"/></g>'
    )


def _paint(rng: np.random.Generator) -> str:
    return _PAINTS[int(rng.integers(len(_PAINTS)))]


def _coin(rng: np.random.Generator) -> str:
    rim, face = (("#8a6a2a", "#d9b65a"), ("#7d8288", "#cfd3d6"), ("#7a4426", "#c57d4e"))[int(rng.integers(3))]
    return (
        f'<circle cx="50" cy="50" r="34" fill="{rim}"/><circle cx="49" cy="48" r="32" fill="{face}"/>'
        f'<circle cx="50" cy="50" r="26" fill="none" stroke="{rim}" stroke-width="1.5"/>'
        f'<path d="M40 60 q10 -34 20 0 z" fill="{rim}" opacity="0.6"/>'
    )


def _pen(rng: np.random.Generator) -> str:
    return (
        f'<rect x="46" y="4" width="8" height="78" rx="3" fill="{_paint(rng)}"/>'
        '<rect x="46" y="4" width="3" height="78" rx="1.5" fill="#fff" opacity="0.35"/>'
        '<path d="M46 82 h8 l-3 12 h-2 z" fill="#b9bcc0"/>'
        '<rect x="53" y="6" width="3" height="26" rx="1" fill="#b9bcc0"/>'
    )


def _cable(rng: np.random.Generator) -> str:
    bends = " ".join(f"S{a:.0f} {b:.0f} {c:.0f} {d:.0f}" for a, b, c, d in rng.uniform(8, 92, (3, 4)))
    color = ("#f2f2f2", "#26282c", "#3a3d42")[int(rng.integers(3))]
    line = f'fill="none" stroke="{color}" stroke-width="3" stroke-linecap="round"'
    return f'<path d="M2 70 C20 10 40 90 60 40 {bends}" {line}/>'


def _leaf(rng: np.random.Generator) -> str:
    color = ("#4d7a36", "#7d8f3a", "#b0702c", "#9a4a2a")[int(rng.integers(4))]
    veins = "".join(f"M50 {y} L{50 - 18} {y - 12} M50 {y} L{50 + 18} {y - 12} " for y in (40, 54, 68, 80))
    return (
        f'<path d="M50 6 C88 30 84 74 50 92 C16 74 12 30 50 6 z" fill="{color}"/>'
        f'<path d="M50 6 V98 {veins}" fill="none" stroke="#000" stroke-opacity="0.25" stroke-width="1.6"/>'
    )


def _note(rng: np.random.Generator) -> str:
    color = ("#f5f3ee", "#f3e48a", "#f4c6cf", "#cfe3f2")[int(rng.integers(4))]
    lines = "".join(
        f'<rect x="18" y="{y}" width="{w:.0f}" height="2.2" fill="#555" opacity="0.55"/>'
        for y, w in zip(range(20, 84, 9), rng.uniform(22, 62, 8), strict=False)
    )
    return f'<rect x="8" y="6" width="84" height="88" fill="{color}"/>{lines}'


def _cup(rng: np.random.Generator) -> str:
    glaze = ("#f4f2ee", "#d8dee2", "#5c6b7a", "#b8674a")[int(rng.integers(4))]
    return (
        f'<circle cx="50" cy="50" r="46" fill="#00000022"/><circle cx="50" cy="49" r="45" fill="{glaze}"/>'
        '<circle cx="50" cy="50" r="34" fill="none" stroke="#000" stroke-opacity="0.12" stroke-width="2"/>'
        f'<rect x="70" y="45" width="24" height="9" rx="4" fill="{glaze}" stroke="#000" stroke-opacity="0.25"/>'
        f'<circle cx="50" cy="50" r="28" fill="{glaze}" stroke="#000" stroke-opacity="0.25" stroke-width="1.5"/>'
        '<circle cx="50" cy="50" r="23" fill="#4a2c1a"/><path d="M34 42 a20 20 0 0 1 20 -10" fill="none" stroke="#fff" '
        'stroke-opacity="0.4" stroke-width="2.5"/>'
    )


def _keys(rng: np.random.Generator) -> str:
    metal = ("#b9bcc0", "#c9a24a")[int(rng.integers(2))]
    blade = f'<path d="M46 30 h8 v60 h-8 z M54 62 h7 v6 h-7 z M54 74 h9 v7 h-9 z" fill="{metal}"/>'
    ring = '<circle cx="50" cy="14" r="11" fill="none" stroke="#8a8d92" stroke-width="3"/>'
    return (
        f'<g transform="rotate(-16 50 20)">{blade}<circle cx="50" cy="26" r="14" fill="{metal}"/></g>'
        f'<g transform="rotate(20 50 20)">{blade}<circle cx="50" cy="26" r="14" fill="{_paint(rng)}"/></g>{ring}'
    )


def _book(rng: np.random.Generator) -> str:
    cover, title = _paint(rng), _paint(rng)
    return (
        f'<rect x="14" y="4" width="74" height="92" fill="#efe9dc"/>'
        f'<rect x="12" y="3" width="73" height="92" rx="2" fill="{cover}"/>'
        '<rect x="12" y="3" width="8" height="92" fill="#000" opacity="0.22"/>'
        f'<rect x="28" y="18" width="46" height="8" fill="#fff" opacity="0.8"/>'
        f'<rect x="28" y="32" width="30" height="4" fill="#fff" opacity="0.55"/>'
        f'<circle cx="52" cy="64" r="15" fill="{title}"/>'
    )


def _stones(rng: np.random.Generator) -> str:
    return "".join(
        f'<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{r:.0f}" ry="{r * 0.75:.0f}" '
        f'fill="#{int(g):02x}{int(g):02x}{int(g * 0.94):02x}"/>'
        f'<ellipse cx="{x - r * 0.2:.0f}" cy="{y - r * 0.25:.0f}" rx="{r * 0.5:.0f}" ry="{r * 0.3:.0f}" '
        f'fill="#fff" opacity="0.25"/>'
        for x, y, r, g in zip(
            rng.uniform(20, 80, 4), rng.uniform(20, 80, 4), rng.uniform(7, 17, 4), rng.uniform(90, 190, 4), strict=True
        )
    )


_PROPS: tuple[Callable[[np.random.Generator], str], ...] = (
    _coin,
    _pen,
    _cable,
    _leaf,
    _note,
    _cup,
    _keys,
    _book,
    _stones,
)
