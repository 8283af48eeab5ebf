"""Draws sneakers and boots, seen from the side with the toe to the left."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, ink, light
from catalog.sample.drawing.geometry import box, oval, polygon, smooth
from catalog.sample.drawing.paint import Volume, body, emblem, metal, plain, stitches


def sneaker(b: Brush) -> None:
    """An upper with laces and a side mark over a thick sole; high ones go over the ankle."""
    shape = b.look.shape
    thick = b.vary(8, 11) if shape != "runner" else b.vary(11, 15)
    ground = 76.0
    collar = {"low": b.vary(32, 37), "high": b.vary(13, 19), "runner": b.vary(30, 35), "slip-on": b.vary(37, 41)}[shape]
    toe = b.vary(0, 4)
    _opening(b, collar)
    upper = smooth(
        [
            (9, ground - 3),
            (8 + toe, ground - 12),
            (20, ground - 20),
            (36, ground - 27),
            (50, collar + 10),
            (58, collar),
            (72, collar + 5),
            (86, collar - 2),
            (91, collar + 10),
            (92, ground - 10),
            (92, ground),
        ],
        tension=0.8,
    )
    body(b, upper, depth=3)
    with b.group(clip_path=b.clip(upper)):
        _upper_parts(b, ground, collar)
    if shape != "slip-on":
        _laces(b, ground, collar)
    _sole(b, ground, thick)
    if shape != "slip-on":
        emblem(b, b.vary(62, 70), ground - b.vary(14, 19), b.vary(4, 6.5))
    else:
        emblem(b, 86, ground - 12, 2.6)


def _opening(b: Brush, collar: float) -> None:
    b.fill(
        smooth(
            [
                (54, collar + 6),
                (62, collar - 5),
                (76, collar - 3),
                (87, collar + 0),
                (80, collar + 12),
                (60, collar + 12),
            ]
        ),
        dark(b.color, 0.55),
    )
    if b.look.shape != "slip-on":
        tongue = smooth([(48, collar + 14), (50, collar - 1), (58, collar - 7), (64, collar - 3), (60, collar + 12)])
        plain(b, tongue, light(b.color, 0.12), material=b.look.material)


def _upper_parts(b: Brush, ground: float, collar: float) -> None:
    accent = b.pick((b.second, dark(b.color, 0.25), light(b.color, 0.35)))
    style = b.pick(("toe cap", "mudguard", "plain"))
    if style == "toe cap":
        plain(
            b,
            smooth([(4, ground), (4, ground - 22), (18, ground - 22), (27, ground - 12), (26, ground + 3)]),
            b.pick(("#f2efe8", accent)),
            depth=1,
        )
    elif style == "mudguard":
        plain(
            b,
            smooth(
                [
                    (0, ground + 2),
                    (6, ground - 14),
                    (24, ground - 13),
                    (42, ground - 7),
                    (60, ground - 3),
                    (60, ground + 4),
                ]
            ),
            accent,
            material=b.look.material,
        )
    wide = b.vary(5, 9)
    plain(
        b,
        smooth(
            [
                (98, collar - 8),
                (89 - wide * 0.2, collar + 6),
                (88 - wide, ground - 16),
                (84 - wide, ground + 4),
                (98, ground + 4),
            ]
        ),
        accent,
        material=b.look.material,
    )
    stitches(
        b, smooth([(87 - wide * 0.2, collar + 8), (86 - wide, ground - 16), (82 - wide, ground + 2)], closed=False)
    )
    if b.look.shape == "slip-on":
        plain(
            b,
            polygon([(46, collar + 8), (54, collar + 2), (60, ground - 20), (52, ground - 16)]),
            dark(b.color, 0.35),
            material="knit",
        )
        return
    kind = b.pick(("stripes", "swoop", "line", "wave"))
    if kind == "stripes":
        for k in range(b.pick((2, 3, 4))):
            b.line(f"M{46 + 6 * k},{ground - 1}l9,-18", accent, 2.4)
    elif kind == "swoop":
        b.fill(f"M36,{ground - 11}Q60,{ground + 3} 88,{ground - 26}Q58,{ground - 10} 36,{ground - 11}z", accent)
    elif kind == "line":
        b.line(f"M26,{ground - 9}L60,{ground - 11}L88,{ground - 22}", accent, 2.2)
    else:
        b.line(f"M30,{ground - 7}q8,-9 16,-3t16,-4t16,-4t14,-4", accent, 2)


def _laces(b: Brush, ground: float, collar: float) -> None:
    lace = b.pick(("#f6f4ee", ink(b.color), b.second))
    start, end = (27.0, ground - 22.0), (52.0, collar + 7)
    if b.look.shape == "high":
        start = (33.0, ground - 23.0)
    count = b.pick((4, 5, 6))
    for k in range(count):
        share = k / (count - 1)
        x, y = start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share - 5 * share * (1 - share)
        b.line(f"M{x - 1},{y - 2}L{x + 7},{y + 4}", dark(lace, 0.5), 2.3)
        b.line(f"M{x - 1},{y - 2}L{x + 7},{y + 4}", lace, 1.7)
        b.fill(oval(x + 7.5, y + 4.6, 0.9), "#3a3b40")


def _sole(b: Brush, ground: float, thick: float) -> None:
    white = b.pick(("#f4f2ec", "#f4f2ec", "#e3d3b3", "#2b2c30", b.second))
    lift = 3.5 if b.look.shape == "runner" else 0.5
    sole = smooth(
        [
            (7, ground - 6 - lift),
            (5, ground + 1 - lift),
            (10, ground + thick * 0.7),
            (30, ground + thick),
            (70, ground + thick),
            (92, ground + thick - 1),
            (95, ground + 2),
            (94, ground - 7 - lift),
            (70, ground - 4),
            (30, ground - 3),
        ],
        tension=0.6,
    )
    body(b, sole, color=white, material="rubber", pattern="plain", depth=2)
    if b.vary(0, 1) > 0.4:
        y = ground + thick * b.vary(0.2, 0.45)
        b.line(
            smooth([(8, y - 3), (30, y), (70, y), (94, y - 2)], closed=False),
            b.pick((b.color, b.second)),
            b.vary(0.8, 1.8),
        )
    for k in range(12):
        b.line(f"M{17 + 6 * k},{ground + thick - 0.8}l1.4,-1.7", dark(white, 0.4), 0.8)


def boot(b: Brush) -> None:
    """A shaft over the foot, with a heel; laced, zipped or elastic at the side."""
    shape = b.look.shape
    top = {"ankle": b.vary(24, 31), "tall": b.vary(5, 9), "chelsea": b.vary(20, 26), "heeled": b.vary(10, 17)}[shape]
    heel = b.vary(14, 20) if shape == "heeled" else b.vary(2, 6)
    ground = 88 - heel
    wide = b.vary(23, 29)
    left = 86 - wide
    b.fill(oval(left + wide / 2, top, wide / 2, 2.4), dark(b.color, 0.6))
    arch = 88.0 if shape != "heeled" else 84.0
    upper = smooth(
        [
            (10, 86),
            (10, 77),
            (22, 69),
            (38, 63),
            (left, 50),
            (left, top + 14),
            (left, top),
            (left + wide, top),
            (left + wide + 1, top + 20),
            (left + wide + 1, 55),
            (left + wide + 4, ground - 4),
            (left + wide, ground),
            (60, arch - heel * 0.4),
            (40, 87),
        ],
        tension=0.6,
    )
    body(b, upper, volume=Volume.FLAT, depth=3.4)
    with b.group(clip_path=b.clip(upper)):
        b.fill(
            box(left - 2, 0, wide + 8, 90),
            b.linear([(0, "#000", 0.0), (0.35, "#fff", 0.16), (1, "#000", 0.3)], right=1, down=0),
        )
        _boot_parts(b, top, left, wide)
    _boot_sole(b, ground, heel, left + wide)


def _boot_parts(b: Brush, top: float, left: float, wide: float) -> None:
    shape = b.look.shape
    stitches(b, smooth([(28, 92), (32, 76), (27, 64)], closed=False))
    cuff = b.vary(4, 10)
    plain(b, box(left - 2, top - 1, wide + 6, cuff), b.pick((dark(b.color, 0.25), b.second)), material=b.look.material)
    if shape == "chelsea":
        plain(
            b,
            polygon([(left + 6, top + cuff), (left + wide - 6, top + cuff), (left + wide - 11, 66), (left + 13, 66)]),
            dark(b.color, 0.5),
            material="knit",
        )
    elif shape == "ankle" or (shape == "tall" and b.vary(0, 1) > 0.5):
        lace = b.pick(("#e9dfc8", "#2a2a2e", b.second))
        for k in range(int((60 - top - cuff) / b.vary(5.4, 7.5)) + 1):
            y = top + cuff + 3 + k * 6
            b.line(f"M{left - 1},{y}L{left + 8},{y + 3}", lace, 1.6)
            metal(b, oval(left + 8.6, y + 3.2, 1.2), "#cfd4da")
    else:
        b.line(f"M{left + wide * 0.55},{top + cuff}V76", dark(b.color, 0.6), 1.5)
        b.line(f"M{left + wide * 0.55},{top + cuff}V76", "#d5d8dc", 0.6, stroke_dasharray="0.7 0.6")
    if b.vary(0, 1) > 0.5:
        y = b.vary(54, 62)
        plain(b, polygon([(30, y + 6), (95, y + 1), (95, y + 6), (30, y + 12)]), dark(b.color, 0.3), material="leather")
        metal(b, box(left + 6, y + 0.5, 8, 9, 1.5) + box(left + 8, y + 2.5, 4, 5, 0.8), "#d8b04c")
    emblem(b, left + wide * 0.66, b.vary(top + cuff + 7, top + cuff + 14), b.vary(2.6, 4.2))


def _boot_sole(b: Brush, ground: float, heel: float, back: float) -> None:
    color = b.pick(("#2b2725", "#5a3c26", "#d8c29a", "#f1eee6"))
    if b.look.shape == "heeled":
        thin = b.vary(2.5, 6)
        plain(
            b,
            polygon([(back - 13, ground - 1), (back + 3, ground - 3), (back + 1, 94), (back - 2 - thin, 94)]),
            color,
            volume=Volume.TUBE,
        )
        sole = smooth(
            [
                (8, 85),
                (9, 90),
                (24, 92),
                (46, 91),
                (62, 87 - heel * 0.35),
                (back - 10, ground + 1),
                (back + 3, ground - 1),
                (62, 85 - heel * 0.4),
                (40, 88),
            ],
            tension=0.5,
        )
        plain(b, sole, color)
        return
    thick = b.vary(4, 7)
    plain(
        b,
        (
            f"M8,84Q7,{86 + thick} 13,{87 + thick}H56L62,{88}L{back - 16},{88}L{back - 15},{88 + thick}"
            f"H{back + 4}V{ground - 1}H{back - 16}L56,86Q30,88 8,84z"
        ),
        color,
        material="rubber",
    )
    for k in range(8):
        b.line(f"M{15 + 5 * k},{87 + thick}v-2", light(color, 0.25), 0.7)
