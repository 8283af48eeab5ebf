"""Draws scarves and umbrellas."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import both_sides, box, oval, polygon, smooth
from catalog.sample.drawing.paint import Volume, body, emblem, glow, metal, plain


def scarf(b: Brush) -> None:
    """A scarf folded over, looped around itself, or a square one laid as a diamond."""
    {"folded": _folded, "looped": _looped, "square": _square}[b.look.shape](b)


def _fringe(b: Brush, x: float, y: float, width: float, length: float) -> None:
    count = int(width / b.vary(2.2, 3.6))
    shades = (b.color, b.second) if b.look.pattern != "plain" else (b.color, dark(b.color, 0.2))
    for k in range(count + 1):
        at = x + width * k / count
        b.line(
            f"M{at},{y}q{b.vary(-1.5, 1.5)},{length / 2} {b.vary(-1, 1)},{length}",
            dark(shades[k % 2], 0.1),
            width / count * 0.62,
        )


def _folded(b: Brush) -> None:
    wide, length, tails = b.vary(22, 27), b.vary(5, 9), b.vary(76, 84)
    _fringe(b, 52 - wide, 70, wide * 1.1, length)
    body(b, polygon([(52 - wide, 12), (54, 12), (54, 72), (50 - wide, 72)]), color=dark(b.color, 0.18), depth=2)
    _fringe(b, 47, tails, wide * 1.25, length)
    front = (
        f"M{50 - wide},12Q{50 - wide},7 {55 - wide},7H{46 + wide}Q{51 + wide},7 {51 + wide},12"
        f"L{50 + wide * 1.1},{tails}H46L44,28Q{50 - wide},24 {50 - wide},12z"
    )
    body(b, front, depth=3)
    soft = b.blur(1.2)
    for x in (54, 62):
        b.line(f"M{x},16Q{x + 3},50 {x + b.vary(-2, 5)},{tails - 4}", "#000", 1.6, stroke_opacity=0.18, filter=soft)
    plain(b, box(52 + b.vary(0, 14), tails - 12, 7, 5, 0.6), "#f3efe4")
    emblem(b, 44 - wide * 0.3, 17, 3.4)


def _looped(b: Brush) -> None:
    low, length = b.vary(78, 84), b.vary(5, 9)
    for side, end in ((-1, low - b.vary(2, 10)), (1, low)):
        _fringe(b, 50 + side * 13 - 10, end, 20, length)
        body(
            b,
            smooth(
                [(50 + side * 4, 42), (50 + side * 18, 44), (50 + side * 24, end), (50 + side * 3, end)], tension=0.4
            ),
            depth=2.2,
        )
    ring = oval(50, 32, b.vary(30, 35), b.vary(21, 25)) + oval(50, 25, b.vary(14, 18), b.vary(8, 11))
    body(b, ring, depth=3.6)
    with b.group(clip_path=b.clip(ring)):
        soft = b.blur(1)
        for k in range(3):
            b.line(
                f"M{16 + 2 * k},{30 + 4 * k}Q50,{50 + 7 * k + b.vary(-3, 3)} {84 - 2 * k},{30 + 4 * k}",
                "#000",
                1.4,
                stroke_opacity=0.22,
                filter=soft,
            )
            b.line(
                f"M{16 + 2 * k},{32 + 4 * k}Q50,{52 + 7 * k} {84 - 2 * k},{32 + 4 * k}",
                "#fff",
                1.0,
                stroke_opacity=0.2,
                filter=soft,
            )
    body(b, smooth([(40, 38), (58, 36), (63, 54), (52, 62), (38, 56)]), color=dark(b.color, 0.06), depth=2.6)
    emblem(b, 63, low - 9, 3.4)


def _square(b: Brush) -> None:
    half, edge_width = b.vary(38, 42), b.vary(3, 7)
    with b.group(
        transform=(
            f"rotate({b.pick((0, 45, 8, -8)) if half < 39 else b.pick((0, 6, -6))} 50 "
            f"50) scale({0.82 if half < 39 else 1}) translate({9 if half < 39 else 0} "
            f"{9 if half < 39 else 0})"
        )
    ):
        side = 2 * half
        body(
            b,
            box(50 - half, 50 - half, side, side, 2),
            color=b.pick((b.second, dark(b.color, 0.35))),
            pattern="plain",
            depth=2,
        )
        body(
            b,
            box(50 - half + edge_width, 50 - half + edge_width, side - 2 * edge_width, side - 2 * edge_width, 1),
            depth=1.4,
        )
        ring = half - edge_width - b.vary(3, 8)
        b.line(box(50 - ring, 50 - ring, 2 * ring, 2 * ring, 1), b.second, b.vary(0.6, 1.6))
        soft = b.blur(2)
        for k in range(3):
            b.line(
                f"M{50 - half},{30 + 22 * k}Q50,{b.vary(20, 40) + 20 * k} {50 + half},{34 + 20 * k}",
                "#fff",
                3.5,
                stroke_opacity=0.28,
                filter=soft,
            )
        b.line(f"M50,{50 - half}V{50 + half}M{50 - half},50H{50 + half}", "#000", 0.5, stroke_opacity=0.18)
        emblem(b, 50 + half * 0.6, 50 + half * 0.6, b.vary(4, 6))
        emblem(b, 50, 50, b.vary(6, 11))


def umbrella(b: Brush) -> None:
    """An open umbrella, a dome-shaped one, or one folded in its sleeve."""
    if b.look.shape == "folded":
        _folded_umbrella(b)
        return
    dome = b.look.shape == "dome"
    top, y = (b.vary(8, 12), b.vary(56, 60)) if dome else (b.vary(13, 19), b.vary(48, 53))
    half, panels = (36.0, 6) if dome else (43.0, b.pick((4, 5, 6, 8)))
    _shaft(b, y - 6)
    step = 2 * half / panels
    scallops = "".join(
        f"Q{50 + half - step * (k + 0.5)},{y - 5} {50 + half - step * (k + 1)},{y}" for k in range(panels)
    )
    canopy = (
        f"M{50 - half},{y}C{50 - half},{top + 6} {50 - half * 0.5},{top} 50,{top}"
        f"C{50 + half * 0.5},{top} {50 + half},{top + 6} {50 + half},{y}{scallops}z"
    )
    body(b, canopy, depth=2.6)
    with b.group(clip_path=b.clip(canopy)):
        for k in range(panels):
            x1, x2 = 50 - half + step * k, 50 - half + step * (k + 1)
            panel = (
                f"M50,{top}Q{50 + (x1 - 50) * 0.95},{top + (y - top) * 0.3} {x1},{y}H{x2}"
                f"Q{50 + (x2 - 50) * 0.95},{top + (y - top) * 0.3} 50,{top}z"
            )
            b.fill(panel, "#000" if k % 2 else "#fff", fill_opacity=0.1)
            b.line(panel, dark(b.color, 0.5), 0.35)
    b.line(f"M50,{top}v-4", "#44474d", 1.8)
    emblem(b, 50 + b.pick((-0.5, 0, 0.5)) * step, y - b.vary(10, 16), b.vary(3.5, 5.5))


def _shaft(b: Brush, y: float) -> None:
    low, tint = b.vary(86, 91), b.pick(("#8a8f98", "#3b3d43", "#a9825a"))
    grip = b.pick(("#6d4527", "#2a2b2f", b.second))
    b.line(f"M50,{y}V{low}", dark(tint, 0.3), 1.9)
    b.line(f"M49.7,{y}V{low}", light(tint, 0.5), 0.6)
    hook = f"M50,{low - b.vary(8, 13)}V{low}a6,6 0 0 1 -12,0v-2" if b.vary(0, 1) > 0.35 else f"M50,{low - 10}V{low + 4}"
    b.line(hook, dark(grip, 0.4), 4)
    b.line(hook, grip, 3)
    b.line(hook, "#fff", 0.7, stroke_opacity=0.4, transform="translate(-0.6 0)")


def _folded_umbrella(b: Brush) -> None:
    half, top = b.vary(10, 14), b.vary(30, 36)
    grip = b.pick(("#6d4527", "#2a2b2f", b.second))
    with b.group(transform=f"rotate({b.vary(24, 40)} 50 50)"):
        b.line(f"M50,{top}V14", "#a9adb4", 2.2)
        plain(b, box(45.5, 5, 9, b.vary(14, 20), 4), grip, volume=Volume.TUBE)
        body(
            b,
            smooth(
                both_sides(
                    [(50 + half * 0.5, top - 6), (50 + half, top + 8), (50 + half * 0.92, 70), (50 + half * 0.45, 90)]
                ),
                tension=0.7,
            ),
            volume=Volume.TUBE,
            depth=2,
        )
        for k in (-0.45, 0.1, 0.55):
            b.line(
                f"M{50 + half * k},{top - 2}Q{50 + half * (k + 0.3)},60 {50 + half * k * 0.5},88",
                dark(b.color, 0.55),
                0.6,
                stroke_opacity=0.7,
            )
        plain(b, box(48.5 - half, b.vary(50, 60), 2 * half + 3, 5, 1.5), dark(b.color, 0.3), volume=Volume.TUBE)
        metal(b, oval(50, 92, 1.6, 3), "#cfd4da")
        emblem(b, 50, b.vary(70, 75), b.vary(3, 4))
        glow(b, oval(47, 45, 1, 8), 0.2)
