"""Queries and their hits in, contact sheets out that a person can judge: photo | label said | five hits.

A green frame is a hit with the query's label, a red one any other. Sheets show other people's photos, so they go to
`benchmarks/data/sheets/`, which git ignores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

FOLDER = Path("benchmarks/data/sheets")
SHOWN = 5
CASES = 8
SIDE_PX, FRAME_PX, PAD_PX, TEXT_PX = 150, 5, 10, 46
LABEL_PX = 210
GREEN, RED, INK, PALE = (46, 139, 87), (200, 50, 50), (31, 41, 51), (110, 120, 130)


@dataclass(frozen=True)
class SheetHit:
    """One hit: its picture, its label, and its scores; `text_score` None counts 0."""

    picture: Path
    label: str
    right: bool
    score: float
    image_score: float
    text_score: float | None


@dataclass(frozen=True)
class SheetQuery:
    """One row of a sheet. `said` is the label the classifier gave, with its probability."""

    picture: Path
    label: str
    said: str
    confidence: float
    hits: Sequence[SheetHit]


def choose_cases(counts: NDArray[np.float64], *, good: bool, cases: int = CASES, seed: int = 0) -> NDArray[np.int64]:
    """Return up to `cases` queries, drawn from the ones with five relevant hits, or from those with the fewest."""
    order = np.argsort(-counts if good else counts, kind="stable")
    equal = np.flatnonzero(counts == counts[order[0]])
    pool = equal if len(equal) >= cases else order[:cases]
    return np.sort(np.random.default_rng(seed).choice(pool, min(cases, len(pool)), replace=False)).astype(np.int64)


def draw_sheet(queries: Sequence[SheetQuery], path: Path, *, title: str) -> Path:
    """Draw one row a query and write a PNG."""
    width = 2 * PAD_PX + SIDE_PX + LABEL_PX + SHOWN * (SIDE_PX + PAD_PX)
    height = 40 + len(queries) * (SIDE_PX + TEXT_PX + PAD_PX)
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((PAD_PX, 10), title, font=_font(17), fill=INK)
    for place, query in enumerate(queries):
        _draw_query(sheet, pen, query, top=40 + place * (SIDE_PX + TEXT_PX + PAD_PX))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    sheet.save(temporary, "PNG")
    temporary.replace(path)
    return path


def _draw_query(sheet: Image.Image, pen: ImageDraw.ImageDraw, query: SheetQuery, *, top: int) -> None:
    sheet.paste(_square(query.picture, INK), (PAD_PX, top))
    pen.text((PAD_PX, top + SIDE_PX + 3), _fit(pen, query.label, SIDE_PX, 12), font=_font(12), fill=INK)
    left = 2 * PAD_PX + SIDE_PX
    color = GREEN if query.said == query.label else RED
    pen.text((left, top + 4), "the classifier says", font=_font(11), fill=PALE)
    pen.text((left, top + 20), _fit(pen, query.said, LABEL_PX - PAD_PX, 14), font=_font(14), fill=color)
    pen.text((left, top + 40), f"{100 * query.confidence:.0f} % sure", font=_font(12), fill=INK)
    right = sum(hit.right for hit in query.hits)
    pen.text((left, top + 62), f"{right} of {len(query.hits)} right", font=_font(12), fill=INK)
    for place, hit in enumerate(query.hits[:SHOWN]):
        x = PAD_PX + SIDE_PX + LABEL_PX + place * (SIDE_PX + PAD_PX)
        color = GREEN if hit.right else RED
        sheet.paste(_square(hit.picture, color), (x, top))
        pen.text((x, top + SIDE_PX + 3), _fit(pen, hit.label, SIDE_PX, 12), font=_font(12), fill=color)
        text = "no text" if hit.text_score is None else f"text {hit.text_score:.2f}"
        pen.text(
            (x, top + SIDE_PX + 20),
            f"score {hit.score:.3f}: image {hit.image_score:.2f}, {text}",
            font=_font(10),
            fill=PALE,
        )


def _square(path: Path, color: tuple[int, int, int]) -> Image.Image:
    """The whole picture on white, in a frame."""
    inner = SIDE_PX - 2 * FRAME_PX
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    picture = ImageOps.pad(picture, (inner, inner), color="white")
    return ImageOps.expand(picture, FRAME_PX, fill=color)


def _fit(pen: ImageDraw.ImageDraw, text: str, width_px: int, size: int) -> str:
    """Shorten a text that is wider than its place."""
    font = _font(size)
    if pen.textlength(text, font=font) <= width_px:
        return text
    while text and pen.textlength(text + "...", font=font) > width_px:
        text = text[:-1]
    return text.rstrip() + "..."


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
