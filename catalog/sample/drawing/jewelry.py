"""Draws rings, necklaces and earrings: metal with stones and enamel in the product's color."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import Point, arc, box, drop, heart, oval, polygon, regular, star, turn
from catalog.sample.drawing.paint import Volume, body, edge, emblem, metal, metal_of


def ring(b: Brush) -> None:
    """A ring standing upright, its head on top."""
    tint = metal_of(b.look.material)
    wide = b.vary(5, 9) if b.look.shape != "band" else b.vary(9, 14)
    radius, top = 31.0, 58.0
    band = oval(50, top, radius) + oval(50, top + wide * 0.1, radius - wide * 0.75)
    metal(b, band, tint)
    edge(b, band, 2, 0.5)
    b.line(arc(50, top, radius - wide * 0.25, 200, 300), "#fff", 0.9, stroke_opacity=0.75)
    _ring_enamel(b, top, radius - wide * 0.38, wide)
    _ring_sides(b, top, radius - wide * 0.35, wide)
    if b.look.shape == "band":
        count = b.pick((3, 5, 7, 9))
        for k in range(count):
            x, y = turn(50, top, radius - wide * 0.3, -90 + (k - (count - 1) / 2) * 15)
            stone(b, x, y, wide * b.vary(0.28, 0.34))
    elif b.look.shape == "signet":
        half, tall = b.vary(13, 18), b.vary(9, 13)
        plate = b.pick(
            (
                oval(50, 27, half, tall),
                box(50 - half, 27 - tall, 2 * half, 2 * tall, 4),
                regular(50, 27, half, 8, angle=22.5),
            )
        )
        metal(b, plate, tint)
        with b.group(transform="translate(50 27) scale(0.78) translate(-50 -27)"):
            body(b, plate, material="ceramic", depth=1)
        emblem(b, 50, 27, tall * 0.45)
    else:
        _ring_head(b, tint, 26.0)


def _ring_enamel(b: Brush, y: float, radius: float, wide: float) -> None:
    if b.look.pattern == "plain":
        return
    dashes = {"striped": f"{b.vary(2, 4)} {b.vary(2, 4)}", "two-tone": "200 0"}.get(b.look.pattern, "1 3")
    b.line(arc(50, y, radius, -60, 240), b.second, wide * 0.26, stroke_dasharray=dashes)


def _ring_sides(b: Brush, y: float, radius: float, wide: float) -> None:
    """What the maker put on the band: engraved strokes, side stones, a rope or a groove."""
    tint = metal_of(b.look.material)
    count, start, step = b.pick((2, 3, 4, 5, 6)), b.vary(16, 34), b.vary(8, 13)
    style = b.pick(("strokes", "stones", "grains", "groove"))
    if style == "groove":
        b.line(arc(50, y, radius, -90 + start, 270 - start), dark(tint, 0.5), wide * b.vary(0.08, 0.16))
        return
    for side in (-1, 1):
        for k in range(count):
            angle = -90 + side * (start + step * k)
            (x1, y1), (x2, y2) = turn(50, y, radius + wide * 0.26, angle), turn(50, y, radius - wide * 0.26, angle + 5)
            if style == "strokes":
                b.line(f"M{x1},{y1}L{x2},{y2}", dark(tint, 0.55), 0.9)
            elif style == "grains":
                metal(b, oval(*turn(50, y, radius, angle), wide * 0.2), light(tint, 0.2))
            else:
                stone(b, *turn(50, y, radius, angle), wide * (0.34 - 0.03 * k), color=b.pick((b.second, b.color)))


def _ring_head(b: Brush, tint: str, y: float) -> None:
    size = b.vary(9, 13)
    halo = b.look.shape == "halo"
    for side in (-1, 1):
        metal(
            b,
            polygon([(50 + side * size * 0.9, y - 2), (50 + side * 3, y + size + 3), (50 + side * 1, y + size)]),
            tint,
        )
    if halo:
        count = b.pick((10, 12, 14, 16))
        for k in range(count):
            x, p = turn(50, y, size * 1.22, 360 * k / count)
            metal(b, oval(x, p, size * 0.27), tint)
            stone(b, x, p, size * 0.2, color="#eef3f8")
    stone(b, 50, y, size, cut=b.pick(("round", "square", "drop", "hexagon", "oval")))
    for angle in (45, 135, 225, 315):
        x, p = turn(50, y, size * 0.97, angle)
        metal(b, oval(x, p, 1.5), tint)


def stone(b: Brush, x: float, y: float, size: float, *, color: str | None = None, cut: str = "round") -> None:
    """A faceted stone of half width `size`."""
    base = color or b.color
    outline = {
        "round": oval(x, y, size),
        "square": box(x - size * 0.88, y - size * 0.88, size * 1.76, size * 1.76, size * 0.15),
        "drop": drop(x, y + size * 0.2, size * 0.85),
        "hexagon": regular(x, y, size, 6),
        "oval": oval(x, y, size * 0.78, size * 1.1),
    }[cut]
    b.fill(outline, b.radial([(0, light(base, 0.65)), (0.45, base), (1, dark(base, 0.45))], x=0.4, y=0.35))
    if size > 3:
        with b.group(clip_path=b.clip(outline)):
            for k in range(8):
                first, last = turn(x, y, size * 0.5, 45 * k + 22.5), turn(x, y, size * 1.2, 45 * k)
                after = turn(x, y, size * 1.2, 45 * k + 45)
                b.fill(
                    polygon([first, last, after]),
                    "#fff" if k in (4, 5, 7) else "#000",
                    fill_opacity=0.24 if k in (4, 5, 7) else 0.13,
                )
            b.fill(regular(x, y, size * 0.54, 8), "#fff", fill_opacity=0.25)
    b.line(outline, dark(base, 0.5), 0.3)
    b.fill(oval(x - size * 0.3, y - size * 0.35, size * 0.16), "#fff", fill_opacity=0.9)


def necklace(b: Brush) -> None:
    """A chain hanging in a loop with what the shape names in front."""
    tint = metal_of(b.look.material)
    half, low = b.vary(27, 35), b.vary(58, 66)
    loop = (
        f"M50,8C{50 - half * 1.1},6 {50 - half * 1.3},{low - 22} 50,{low}C{50 + half * 1.3},{low - 22} "
        f"{50 + half * 1.1},6 50,8"
    )
    if b.look.shape == "beads":
        bead_loop(b, half + 3, 50)
        return
    link = b.vary(1.6, 3.2)
    b.line(loop, dark(tint, 0.35), 1.7)
    b.line(loop, light(tint, 0.25), 1.2, stroke_dasharray=f"{link} {link * 0.75}")
    if b.look.pattern == "dotted":
        for k in range(1, 10):
            x, y = _on_loop(half, low, k / 10)
            stone(b, x, y, b.vary(1.2, 1.9), color=b.second)
            stone(b, 100 - x, y, 1.5, color=b.second)
    metal(b, oval(50, low + 1.5, 2.2) + oval(50, low + 1.5, 1.2), tint)
    _pendant(b, tint, low + 3)


def _on_loop(half: float, low: float, t: float) -> Point:
    ends = ((50, 8), (50 - half * 1.1, 6), (50 - half * 1.3, low - 22), (50, low))
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    return sum(w * p[0] for w, p in zip(weights, ends, strict=True)), sum(
        w * p[1] for w, p in zip(weights, ends, strict=True)
    )


def _pendant(b: Brush, tint: str, top: float) -> None:
    size = b.vary(10, 13.5)
    y = top + size * 0.95
    if b.look.shape == "bar":
        tall = b.vary(20, 27)
        wide = b.vary(5, 9)
        metal(b, box(50 - wide / 2, top, wide, tall, wide / 2), tint, volume=Volume.TUBE)
        body(b, box(50 - wide * 0.33, top + tall * 0.25, wide * 0.66, tall * 0.6, 1), material="ceramic", depth=0.8)
        stone(b, 50, top + tall * 0.13, wide * 0.28, color=b.second)
        return
    heart_shape = b.look.shape == "heart"
    frame = (
        heart(50, y, size)
        if heart_shape
        else b.pick(
            (
                oval(50, y, size),
                drop(50, y + size * 0.35, size * 0.85),
                regular(50, y, size, 6),
                star(50, y, size * 1.1, 8, inner=0.75),
            )
        )
    )
    metal(b, frame, tint)
    with b.group(transform=f"translate(50 {y}) scale(0.76) translate(-50 {-y})"):
        body(b, frame, material="ceramic", pattern="plain" if b.look.pattern == "dotted" else None, depth=1.2)
    if b.vary(0, 1) > 0.4:
        stone(b, 50, y, size * b.vary(0.25, 0.4), color=b.second, cut=b.pick(("round", "square", "hexagon")))
    else:
        emblem(b, 50, y, size * 0.36)


def bead_loop(b: Brush, radius: float, y: float) -> None:
    """A closed string of balls, every third or so of the second color or metal."""
    tint = metal_of(b.look.material)
    count, every, grow = b.pick((22, 26, 30)), b.pick((2, 3, 4, 6)), b.vary(0.0, 0.5)
    squeeze = b.vary(0.88, 1.1)
    b.line(arc(50, y, radius, -89, 269, squeeze=squeeze), dark(tint, 0.3), 0.7)
    other = b.second if b.look.pattern != "plain" else tint
    for k in range(count):
        x, p = turn(50, y, radius, 360 * k / count - 90, squeeze=squeeze)
        big = radius * 3.0 / count * (0.85 + grow * (p - y) / radius)
        body(
            b,
            oval(x, p, big),
            color=b.color if k % every else other,
            material="ceramic",
            pattern="plain",
            volume=Volume.BALL,
            depth=0,
        )
    metal(b, box(46.5, y - radius * squeeze - 2, 7, 4, 2), tint, volume=Volume.ROLL)


def earrings(b: Brush) -> None:
    """A pair, hanging side by side."""
    tint = metal_of(b.look.material)
    gap, size = b.vary(20, 24), b.vary(0.9, 1.08)
    cut, tier = b.pick(("round", "square", "drop", "hexagon")), b.pick((1, 2, 3))
    strands, form = b.pick((5, 7, 9)), b.pick((0, 1, 2))
    thick, low, wide = b.vary(3.5, 6.5), b.vary(-3, 4), b.vary(0.88, 1.12)
    for x in (50 - gap, 50 + gap):
        if b.look.shape == "hoop":
            hoop = min(21 * size, gap - 0.8)
            _hoop(b, x, hoop, thick, tint)
            stone(b, x, 26 + 2 * hoop - thick / 2, 1.9 + 0.25 * low, color=b.second, cut=cut)
            _hoop_charm(b, (x, 26 + hoop), hoop - thick, (tier, strands, form))
        elif b.look.shape == "stud":
            _stud(b, x, 19 * size * wide, cut, tint)
            if form:
                for k in range(strands * form):
                    metal(b, oval(*turn(x, 50, 15 * size, 360 * k / strands / form), 1.2), light(tint, 0.3))
        elif b.look.shape == "drop":
            _hook(b, x, 12, tint)
            for k in range(tier):
                stone(b, x, 24 + 9 * k, 3 + 0.8 * k, color=b.second if b.look.pattern != "plain" else "#eef3f8")
            y = 30 + 9 * tier + low
            metal(b, drop(x, y + 11, 12.5 * wide), tint)
            body(b, drop(x, y + 11, (12.5 - thick * 0.6) * wide), material="ceramic", depth=1.4)
            for k in range(strands):
                metal(
                    b,
                    oval(*turn(x, y + 13.4 * wide, 11.6 * wide, 90 + (k - (strands - 1) / 2) * 20), 1.1),
                    light(tint, 0.3),
                )
            stone(b, x, y + 11, 2 + form, color=b.second)
        else:
            _hook(b, x, 12, tint)
            _tassel(b, x, (strands, form, low), tint)


def _hook(b: Brush, x: float, y: float, tint: str) -> None:
    b.line(f"M{x},{y + 10}V{y + 2}C{x},{y - 6} {x + 8},{y - 6} {x + 8},{y + 4}", dark(tint, 0.35), 1.3)
    b.line(f"M{x},{y + 10}V{y + 2}C{x},{y - 6} {x + 8},{y - 6} {x + 8},{y + 4}", light(tint, 0.35), 0.6)


def _hoop(b: Brush, x: float, radius: float, thick: float, tint: str) -> None:
    _hook(b, x, 16, tint)
    shape = oval(x, 26 + radius, radius) + oval(x, 25.4 + radius, radius - thick)
    metal(b, shape, tint)
    dashes = {"striped": "3 2.4", "two-tone": "26 400"}.get(b.look.pattern, "400 0")
    b.line(arc(x, 26 + radius, radius - thick / 2, -85, 265), b.color, thick * 0.55, stroke_dasharray="400 0")
    if b.look.pattern != "plain":
        b.line(arc(x, 26 + radius, radius - thick / 2, -85, 265), b.second, thick * 0.55, stroke_dasharray=dashes)
    b.line(arc(x, 26 + radius, radius - thick * 0.3, 190, 250), "#fff", 0.8, stroke_opacity=0.8)


def _hoop_charm(b: Brush, center: Point, radius: float, own: tuple[int, int, int]) -> None:
    """What hangs inside a hoop: nothing, stones along its lower part, or a drop."""
    (x, y), (tier, strands, form) = center, own
    if form == 1:
        for k in range(strands):
            stone(b, *turn(x, y, radius - 1, 90 + (k - (strands - 1) / 2) * 14), 1.2 + 0.4 * tier, color=b.second)
    elif form == 2:
        b.line(f"M{x},{y - radius}v{6 * tier}", dark(metal_of(b.look.material), 0.3), 0.8)
        stone(b, x, y - radius + 6 * tier + 4, 2 + strands * 0.35, color=b.second, cut="drop")


def _stud(b: Brush, x: float, size: float, cut: str, tint: str) -> None:
    frame = regular(x, 50, size, 6) if cut == "hexagon" else oval(x, 50, size)
    metal(b, frame, tint)
    edge(b, frame, 1.6, 0.5)
    if b.look.pattern == "plain":
        stone(b, x, 50, size * 0.8, cut=cut)
        return
    body(b, oval(x, 50, size * 0.82), material="ceramic", depth=1.4)
    stone(b, x, 50, size * 0.35, color=b.second, cut=cut)


def _tassel(b: Brush, x: float, own: tuple[int, int, float], tint: str) -> None:
    strands, form, longer = own
    metal(b, (oval(x, 29, 9, 8), regular(x, 30, 9, 6), box(x - 8, 22, 16, 13, 3))[form], tint)
    stone(b, x, 29, 4.5, color=b.second)
    for k in range(strands):
        across = x + (k - (strands - 1) / 2) * 18 / strands
        low = 86 + longer - abs(k - (strands - 1) / 2) * (0, 3, -1)[form]
        thread = b.second if b.look.pattern != "plain" and k % 2 else b.color
        b.line(f"M{x + (across - x) * 0.5},37Q{across},45 {across},{low}", dark(thread, 0.3), 14 / strands)
        b.line(f"M{x + (across - x) * 0.5},37Q{across},45 {across},{low}", thread, 10 / strands)
    metal(b, box(x - 6, 34, 12, 4.5, 1.5), tint, volume=Volume.ROLL)
