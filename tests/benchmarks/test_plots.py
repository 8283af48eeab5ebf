"""Plots and sheets show what they were given: read back from the picture files and from matplotlib's own objects."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import plots, sheets
from benchmarks.quality.plots import Bar, Curve, mean_interval, plot_arms, plot_coverage, plot_reliability, plot_weights


@pytest.fixture
def drawn(monkeypatch):
    """The axes of each figure at the moment it is saved."""
    kept = []
    save = plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: (kept.append(figure.axes[0]), save(figure, path))[1])
    return kept


def test_bars_are_as_long_as_the_means(drawn, tmp_path):
    bars = [Bar("original", 2.5, 2.2, 2.8), Bar("soft", 3.9, 3.6, 4.1, best=True)]
    path = plot_arms(bars, tmp_path / "arms.png", title="Arms", target=3.7)
    assert [patch.get_width() for patch in drawn[0].patches] == [2.5, 3.9]
    assert [tick.get_text() for tick in drawn[0].get_yticklabels()] == ["original", "soft"]
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["arms.png"]


def test_the_ring_is_at_the_chosen_weight(drawn, tmp_path):
    curve = Curve("soft", [0.0, 1.0, 4.0], [2.0, 3.0, 2.5], chosen=1.0)
    plot_weights([curve], tmp_path / "weight.png", title="Weight")
    line, ring = drawn[0].lines
    assert line.get_xdata() == pytest.approx([0, 1, 2])  # square roots
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (1.0, 3.0)


def test_coverage_is_the_running_mean_over_the_surest(drawn, tmp_path):
    confidence = np.array([0.9, 0.1, 0.5, 0.7] * 10)
    values = np.array([5.0, 1.0, 3.0, 4.0] * 10)
    plot_coverage(confidence, {"score": values}, tmp_path / "c.png", title="Coverage", threshold=0.5)
    curve, threshold = drawn[0].lines
    assert curve.get_xdata()[[0, -1]] == pytest.approx([25, 100])
    assert curve.get_ydata()[[0, -1]] == pytest.approx([5.0, (5 + 1 + 3 + 4) / 4])
    assert threshold.get_xdata()[0] == pytest.approx(75)


def test_reliability_shows_accuracy_and_its_gap(drawn, tmp_path):
    confidence = np.array([0.95] * 10)
    correct = np.array([True] * 6 + [False] * 4)
    plot_reliability({"val": (confidence, correct)}, tmp_path / "r.png", title="Reliability")
    line = drawn[0].lines[1]
    assert (line.get_xdata()[0], line.get_ydata()[0]) == pytest.approx((0.95, 0.6))
    assert drawn[0].get_legend().get_texts()[0].get_text() == "val: 35.0 points off"


def test_the_interval_of_a_mean_matches_the_normal_formula():
    counts = np.random.default_rng(0).integers(0, 6, 500).astype(np.float64)
    mean, low, high = mean_interval(counts)
    half = 1.96 * counts.std() / np.sqrt(500)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_good_and_bad_cases_are_drawn_from_the_extremes():
    counts = np.array([0, 5, 3, 5, 0, 5, 1.0])
    assert set(sheets.choose_cases(counts, good=True, cases=2)) <= {1, 3, 5}
    assert sheets.choose_cases(counts, good=False, cases=3).tolist() == [0, 4, 6]


def test_a_sheet_frames_right_hits_green_and_wrong_ones_red(color_shop, tmp_path):
    folder = color_shop.catalog.parent
    hits = [
        sheets.SheetHit(folder / "red-0.png", "red", right=True, score=0.9, image_score=0.9, text_score=None),
        sheets.SheetHit(folder / "blue-0.png", "blue", right=False, score=0.5, image_score=0.5, text_score=0.4),
    ]
    query = sheets.SheetQuery(folder / "red-1.png", "red", "a label that is far too long for its place " * 3, 0.8, hits)
    path = sheets.draw_sheet([query], tmp_path / "sheet.png", title="Demo")
    with Image.open(path) as sheet:
        left = sheets.PAD_PX + sheets.SIDE_PX + sheets.LABEL_PX
        assert sheet.getpixel((left + 1, 41)) == sheets.GREEN
        assert sheet.getpixel((left + sheets.SIDE_PX + sheets.PAD_PX + 1, 41)) == sheets.RED
        red, _, blue = sheet.getpixel((left + sheets.SIDE_PX // 2, 40 + sheets.SIDE_PX // 2))
        assert red > 150 > blue
