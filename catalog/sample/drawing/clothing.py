"""Draws t-shirts."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import box, oval, polygon, smooth
from catalog.sample.drawing.paint import body, emblem, plain, stitches


def t_shirt(b: Brush) -> None:
    """A shirt laid flat: sleeves, neck and hem are the shape's, their lengths the product's."""
    shape = b.look.shape
    half, low = b.vary(24, 29), b.vary(86, 93)
    neck, dip = b.vary(9, 12), {"v-neck": b.vary(17, 24), "polo": 10.0}.get(shape, b.vary(5, 9))
    for side in (-1, 1):
        _sleeve(b, side, half)
    trunk = (
        f"M{50 - neck},13L{50 - half + 2},18Q{51 - half},42 {50 - half},60L{49 - half},{low - 1}"
        f"Q50,{low + 3} {51 + half},{low - 1}"
        f"L{50 + half},60Q{49 + half},42 {48 + half},18L{50 + neck},13"
    )
    collar = f"Q50,{13 + 2 * dip} {50 - neck},13z" if shape != "v-neck" else f"L50,{13 + dip}z"
    b.fill(oval(50, 13.5, neck, 3), dark(b.color, 0.45))
    body(b, trunk + collar, depth=3)
    _folds(b, half, low)
    rim = f"M{50 - neck},13" + (
        f"Q50,{13 + 2 * dip} {50 + neck},13" if shape != "v-neck" else f"L50,{13 + dip}L{50 + neck},13"
    )
    trim = b.pick((dark(b.color, 0.2), b.second, light(b.color, 0.3)))
    b.line(rim, dark(trim, 0.3), 2.9)
    b.line(rim, trim, 2.3)
    if shape == "polo":
        _polo_collar(b, neck, trim)
    stitches(b, f"M{51 - half},{low - 4}Q50,{low} {49 + half},{low - 4}")
    spot = b.pick(("chest", "center", "pocket"))
    if spot == "pocket":
        plain(b, "M56,36h13v12l-6.5,4l-6.5,-4z", b.pick((dark(b.color, 0.1), b.second)), material=b.look.material)
        emblem(b, 62.5, 42, 2.6)
    else:
        emblem(
            b,
            62 if spot == "chest" else 50,
            37 if spot == "chest" else b.vary(44, 52),
            b.vary(2.6, 4) if spot == "chest" else b.vary(7, 11),
        )


def _sleeve(b: Brush, side: int, half: float) -> None:
    long = b.look.shape == "long sleeve"
    out, low = (b.vary(13, 16), b.vary(74, 82)) if long else (b.vary(14, 19), b.vary(36, 45))
    x = half - 3
    wide = 9.5 if long else 12.5
    tip = half + out if not long else half + out * 0.75
    outer = smooth(
        [
            (50 + side * (x - 8), 14.5),
            (50 + side * (x + 4), 18),
            (50 + side * (tip - 1), low - 9),
            (50 + side * tip, low - 2),
            (50 + side * (tip - wide), low + 2),
            (50 + side * (x + 1), 40),
            (50 + side * (x - 6), 34),
        ],
        tension=0.45,
    )
    body(b, outer, depth=2.2)
    cuff = f"M{50 + side * (tip - 0.4)},{low - 3.5}L{50 + side * (tip - wide + 0.4)},{low + 0.4}"
    b.line(cuff, b.second if b.look.shape == "polo" else dark(b.color, 0.2), 1.4)


def _folds(b: Brush, half: float, low: float) -> None:
    soft = b.blur(1.3)
    for k in range(4):
        x, bend = 50 + (k - 1.5) * half * 0.5, b.vary(-6, 6)
        b.line(
            f"M{x},{b.vary(56, 66)}q{bend},{10} {bend * 0.5},{low - 68}", "#000", 1.6, stroke_opacity=0.13, filter=soft
        )
        b.line(
            f"M{x + 2},{b.vary(56, 66)}q{bend},{10} {bend * 0.5},{low - 68}",
            "#fff",
            1.2,
            stroke_opacity=0.16,
            filter=soft,
        )


def _polo_collar(b: Brush, neck: float, trim: str) -> None:
    for side in (-1, 1):
        plain(
            b,
            polygon([(50 + side * neck, 11), (50 + side * 1, 20), (50 + side * 8, 27), (50 + side * (neck + 4), 16)]),
            trim,
            material=b.look.material,
        )
    plain(b, box(47.5, 20, 5, b.vary(14, 19)), dark(b.color, 0.12), material=b.look.material)
    for k in range(b.pick((2, 3))):
        b.fill(oval(50, 24 + 5 * k, 0.9), "#f3f0e8")
