"""The drawings of the sample shop: every look renders, in its own color, as an individual, and again the same."""

from __future__ import annotations

import functools
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog.sample.drawing import CATEGORIES, COLORS, draw, outline_svg, render
from catalog.sample.look import Look

SIZE_PX = 48
FIRST = (0.11, 0.83, 0.42, 0.67, 0.29, 0.95, 0.53, 0.08)
OTHER = (0.74, 0.21, 0.88, 0.05, 0.61, 0.37, 0.16, 0.92)
# What is mostly metal, glass, screen or keys by nature carries its color on strap, stones, enamel or frame only.
SMALL_COLOR = {
    "wrist watch",
    "smart watch",
    "ring",
    "necklace",
    "earrings",
    "bracelet",
    "sunglasses",
    "eyeglasses",
    "phone",
    "keyboard",
}


def look_of(category: str, **changes: object) -> Look:
    kind = CATEGORIES[category]
    values: dict[str, object] = {
        "category": category,
        "shape": kind.shapes[0],
        "color": "red",
        "color_hex": COLORS["red"],
        "second_hex": COLORS["navy"],
        "material": kind.materials[0],
        "pattern": "plain",
        "jitter": FIRST,
    }
    return Look(**{**values, **changes})  # type: ignore[arg-type]


@functools.cache
def pixels(look: Look, size_px: int = SIZE_PX) -> NDArray[np.float64]:
    """[S, S, 4] of the look alone on a transparent ground."""
    return np.asarray(render(outline_svg(draw(look), size_px=size_px)), dtype=np.float64)


def on_white(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    alpha = picture[..., 3:] / 255
    return picture[..., :3] * alpha + 255 * (1 - alpha)


def mean_color(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    return picture[picture[..., 3] > 200][:, :3].mean(axis=0)


def rgb(color: str) -> NDArray[np.float64]:
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)], dtype=np.float64)


def test_there_are_thirty_categories_with_real_choices():
    assert len(CATEGORIES) == 30
    for name, kind in CATEGORIES.items():
        assert 2 <= len(kind.shapes) <= 5, name
        assert 1 <= len(kind.materials) <= 4, name
        assert 1 <= len(kind.patterns) <= 5, name
        assert "plain" in kind.patterns, name
        for values in (kind.shapes, kind.materials, kind.patterns):
            assert len(set(values)) == len(values), name
    assert len(set(COLORS.values())) == len(COLORS) == 17


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_look_stays_inside_the_box_and_fills_it(category: str):
    kind = CATEGORIES[category]
    for shape, material, pattern in product(kind.shapes, kind.materials, kind.patterns):
        # The two jitters take turns, so that both ends of the proportions are seen.
        jitter = FIRST if (len(shape) + len(pattern)) % 2 else OTHER
        look = look_of(category, shape=shape, material=material, pattern=pattern, jitter=jitter)
        # Half a product's size of room around it shows what would be cut off.
        svg = outline_svg(draw(look), size_px=SIZE_PX, transform="translate(25 25) scale(0.5)")
        rows, columns = np.nonzero(np.asarray(render(svg))[..., 3] > 24)
        low, high = min(rows.min(), columns.min()), max(rows.max(), columns.max())
        assert low >= SIZE_PX // 4 - 1, look
        assert high <= SIZE_PX * 3 // 4, look
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        assert longer > 0.45 * SIZE_PX / 2, look


@pytest.mark.parametrize("category", sorted(set(CATEGORIES) - SMALL_COLOR))
def test_a_plain_product_has_the_color_asked(category: str):
    ranks = []
    for name, value in COLORS.items():
        mean = mean_color(pixels(look_of(category, color=name, color_hex=value, second_hex=value)))
        away = {other: float(np.linalg.norm(mean - rgb(COLORS[other]))) for other in COLORS}
        ranks.append(sorted(away, key=away.__getitem__).index(name))
    # 0 = its own color is the nearest of all 17; by chance the median would be 8.
    assert np.median(ranks) <= 2, dict(zip(COLORS, ranks, strict=True))


@pytest.mark.parametrize("category", sorted(SMALL_COLOR))
def test_a_change_of_color_moves_the_picture_toward_it(category: str):
    means = {name: mean_color(pixels(look_of(category, color_hex=COLORS[name]))) for name in ("red", "sky blue")}
    moved = means["sky blue"] - means["red"]
    asked = rgb(COLORS["sky blue"]) - rgb(COLORS["red"])
    assert moved @ asked / (np.linalg.norm(moved) * np.linalg.norm(asked)) > 0.8
    assert np.linalg.norm(moved) > 3


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_attribute_and_the_jitter_change_the_picture(category: str):
    kind = CATEGORIES[category]
    base = on_white(pixels(look_of(category), 96))
    changes: list[dict[str, object]] = [{"jitter": OTHER}]
    changes += [{"shape": value} for value in kind.shapes[1:]]
    changes += [{"material": value} for value in kind.materials[1:]]
    changes += [{"pattern": value} for value in kind.patterns if value != "plain"]
    inside = np.any(base < 250, axis=2)
    for change in changes:
        away = np.abs(on_white(pixels(look_of(category, **change), 96)) - base)[inside].mean()
        # Levels of 255 on average over the product; a fine grain alone moves its pixels by about one.
        assert away > (6 if "jitter" in change else 1), (category, change)


@pytest.mark.parametrize("number", range(8))
def test_every_number_of_the_jitter_counts(number: int):
    for category in CATEGORIES:
        drawn = set()
        # A number that chooses among a few forms needs a larger step to choose another.
        for step in (0.0, 0.19, 0.37, 0.61):
            jitter = tuple((value + step) % 1 if k == number else value for k, value in enumerate(FIRST))
            drawn.add(draw(look_of(category, jitter=jitter)))
        assert len(drawn) > 1, category


@pytest.mark.parametrize("category", CATEGORIES)
def test_equal_looks_draw_equal_bytes(category: str):
    assert draw(look_of(category), "a") == draw(look_of(category), "a")


@pytest.mark.parametrize("category", ["handbag", "ring", "keyboard", "scarf"])
def test_two_fragments_in_one_document_look_as_each_does_alone(category: str):
    left, right = (
        look_of(category, pattern=CATEGORIES[category].patterns[-1]),
        look_of("mug", pattern="dotted", jitter=OTHER),
    )
    half = 'transform="scale(0.5)"'
    other_half = 'transform="translate(50 50) scale(0.5)"'
    both = f"<g {half}>{draw(left, 'a')}</g><g {other_half}>{draw(right, 'b')}</g>"
    together = np.asarray(render(outline_svg(both, size_px=96)))
    for fragment, place in ((draw(left, "z"), half), (draw(right, "z"), other_half)):
        alone = np.asarray(render(outline_svg(f"<g {place}>{fragment}</g>", size_px=96)))
        area = np.s_[:48, :48] if place is half else np.s_[48:, 48:]
        np.testing.assert_array_equal(together[area], alone[area])


def test_a_document_has_the_size_and_ground_asked():
    picture = np.asarray(render(outline_svg(draw(look_of("mug")), size_px=40, background="#102030")))
    assert picture.shape == (40, 40, 4)
    assert tuple(picture[0, 0]) == (0x10, 0x20, 0x30, 255)
    assert np.asarray(render(outline_svg(draw(look_of("mug")), size_px=40)))[0, 0, 3] == 0
