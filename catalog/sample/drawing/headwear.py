"""Draws caps: baseball caps, beanies, bucket hats and flat caps."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import box, oval
from catalog.sample.drawing.paint import Volume, body, emblem, plain, stitches


def cap(b: Brush) -> None:
    """A baseball cap, beanie, bucket hat or flat cap."""
    {"baseball": _baseball, "beanie": _beanie, "bucket": _bucket_hat, "flat": _flat_cap}[b.look.shape](b)


def _baseball(b: Brush) -> None:
    tall, reach = b.vary(24, 31), b.vary(0, 5)
    y = 62.0
    crown = (
        f"M22,{y + 2}C20,{y - tall} 36,{y - tall * 1.45} 56,{y - tall * 1.4}C80,{y - tall * 1.35} "
        f"92,{y - tall * 0.6} 92,{y + 4}Q58,{y - 3} 22,{y + 2}z"
    )
    body(b, crown, depth=3.4)
    with b.group(clip_path=b.clip(crown)):
        for bend in (-24, 0, 22):
            seam = f"M56,{y - tall * 1.4}Q{56 + bend * 1.4},{y - tall * 0.8} {56 + bend * 1.3},{y + 3}"
            b.line(seam, dark(b.color, 0.4), 0.5)
            stitches(b, seam)
        for x in (40, 74):
            b.fill(oval(x, y - tall * 0.85, 1.2), dark(b.color, 0.6))
    brim_color = b.pick((b.color, b.second, dark(b.color, 0.25)))
    brim = (
        f"M20,{y + 1}Q38,{y - 6} 62,{y - 1}Q46,{y + 3} 34,{y + 15}Q{14 - reach},{y + 20} "
        f"{7 - reach},{y + 14}Q10,{y + 4} 20,{y + 1}z"
    )
    plain(b, brim, brim_color, material=b.look.material, depth=2)
    for k in range(b.pick((2, 3, 4))):
        stitches(
            b,
            f"M{17 - reach + 4 * k},{y + 14 - 2 * k}Q{26 + 3 * k},{y + 4 - k} {48 + 2 * k},{y - 1}",
            color=dark(brim_color, 0.4),
        )
    plain(b, oval(56, y - tall * 1.41, 3, 1.6), b.pick((b.color, b.second)), volume=Volume.BALL)
    emblem(b, 40, y - tall * b.vary(0.4, 0.55), b.vary(5, 7.5))


def _beanie(b: Brush) -> None:
    top, fold = b.vary(16, 22), b.vary(15, 23)
    y = 80 - fold
    crown = f"M17,{y + 6}C15,{top + 14} 34,{top} 50,{top}C66,{top} 85,{top + 14} 83,{y + 6}z"
    body(b, crown, volume=Volume.TUBE, depth=3)
    with b.group(clip_path=b.clip(crown)):
        for k in range(-4, 5):
            b.line(
                f"M50,{top - 2}Q{50 + 9.5 * k},{top + 20} {50 + 8.6 * k},{y + 8}",
                dark(b.color, 0.5),
                0.6,
                stroke_opacity=0.5,
            )
    rib = box(13, y, 74, fold + 2, 5)
    plain(b, rib, b.pick((b.color, dark(b.color, 0.2), b.second)), material="knit", volume=Volume.TUBE, depth=2)
    for k in range(20):
        b.line(f"M{16.5 + 3.5 * k},{y + 1.5}v{fold - 1}", "#000", 0.7, stroke_opacity=0.17)
    if b.vary(0, 1) > 0.45:
        ball = b.vary(7, 10)
        plain(b, oval(50, top - 2, ball), b.pick((b.second, light(b.color, 0.4))), material="wool", volume=Volume.BALL)
    patch = b.pick((0, -20, 20))
    ground = b.pick(("#7d5436", "#f0ede4", "#2a2c31"))
    plain(b, box(44 + patch, y + fold / 2 - 4.5, 12, 10, 1.5), ground, material="leather")
    emblem(b, 50 + patch, y + fold / 2 + 0.5, 3, on=ground)


def _bucket_hat(b: Brush) -> None:
    top, flare, wide = b.vary(22, 28), b.vary(38, 43), b.vary(22, 26)
    body(
        b,
        f"M{50 - wide},{top + 4}Q50,{top - 4} {50 + wide},{top + 4}L{50 + wide + 6},60H{44 - wide}z",
        volume=Volume.TUBE,
        depth=2.4,
    )
    stitches(b, f"M{50 - wide},{top + 7}Q50,{top} {50 + wide},{top + 7}")
    brim = f"M{44 - wide},55Q50,62 {56 + wide},55L{50 + flare},76Q50,92 {50 - flare},76z"
    body(b, brim, depth=2.4)
    for k in range(b.pick((2, 3, 4))):
        y = 61 + 5 * k
        stitches(b, f"M{43 - wide - 2.2 * k},{y - 2}Q50,{y + 8 + k} {57 + wide + 2.2 * k},{y - 2}")
    band = b.vary(0, 1)
    if band > 0.5:
        b.line(f"M{44.4 - wide},53Q50,60 {55.6 + wide},53", b.second, 4)
    emblem(b, 50 + b.vary(-8, 8), b.vary(40, 46), b.vary(4.5, 6.5))


def _flat_cap(b: Brush) -> None:
    lift = b.vary(0, 7)
    y = 66.0
    brim = f"M6,{y}Q10,{y - 12} 34,{y - 12}L52,{y - 2}Q28,{y - 2} 10,{y + 6}Q4,{y + 6} 6,{y}z"
    crown = (
        f"M14,{y - 5}C14,{y - 26 - lift} 44,{y - 34 - lift} 66,{y - 31 - lift}C88,{y - 28} "
        f"96,{y - 12} 93,{y + 4}C86,{y + 10} 62,{y + 6} 50,{y - 1}C38,{y - 6} 24,{y - 8} "
        f"14,{y - 5}z"
    )
    plain(b, brim, dark(b.color, 0.2), material=b.look.material, depth=1.6)
    body(b, crown, depth=3.6)
    seam = f"M30,{y - 7}C40,{y - 24} 64,{y - 24} 90,{y - 9 - lift}"
    b.line(seam, dark(b.color, 0.4), 0.6)
    stitches(b, seam)
    stitches(b, f"M10,{y + 3}Q28,{y - 5} 49,{y - 4}")
    if b.vary(0, 1) > 0.4:
        plain(b, oval(60, y - 31.5 - lift, 3.2, 1.8), b.pick((b.second, b.color)), volume=Volume.BALL)
    emblem(b, b.vary(70, 80), y - b.vary(5, 9), b.vary(3, 4.4))
