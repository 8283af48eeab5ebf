"""Generated points against known geometry: the same whatever the blocks, spread as asked, dimensions as known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from benchmarks.galleries.points import CHUNK, Points, class_axes, class_spread, participation_ratio, two_nn

DIM = 24


def two_classes(each: int = 40, *, flat: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Class a varies in the first `flat` dimensions, class b in the next ones; both sit at distance 10."""
    rng = np.random.default_rng(5)
    centers = np.zeros((2 * each, DIM), np.float32)
    centers[:each, :flat] = rng.normal(size=(each, flat))
    centers[each:, flat : 2 * flat] = rng.normal(size=(each, flat))
    centers[:, -1] = 10
    return centers, np.repeat(["a", "b"], each)


@pytest.mark.parametrize("block_rows", [7, 1000, CHUNK, 2 * CHUNK + 1])
def test_blocks_of_any_size_hold_the_same_points(block_rows):
    points = Points(*two_classes())
    count = CHUNK + 700
    (whole,) = points.blocks(count, block_rows=count)
    sizes, start = [], 0
    for block in points.blocks(count if block_rows > 7 else 100, block_rows=block_rows):
        end = start + len(block.vectors)
        np.testing.assert_array_equal(block.vectors, whole.vectors[start:end])
        np.testing.assert_array_equal(block.centers, whole.centers[start:end])
        sizes.append(end - start)
        start = end
    assert set(sizes[:-1]) <= {block_rows}


def test_points_vary_as_their_class_does():
    centers, classes = two_classes()
    drawn = Points(centers, classes, within=0.5, around=0.0).queries(4000)
    lengths = 10 / drawn.vectors[:, -1:]  # no noise reaches the last dimension, which undoes the unit length
    moves = drawn.vectors * lengths - centers[drawn.centers]
    assert np.abs(moves[drawn.centers < 40][:, 3:]).max() < 1e-4  # class a stays in its own subspace
    assert np.abs(moves[drawn.centers >= 40][:, :3]).max() < 1e-4
    deviation = centers[:40, :3].std(axis=0)
    np.testing.assert_allclose(moves[drawn.centers < 40][:, :3].std(axis=0), 0.5 * deviation, rtol=0.1)


def test_noise_around_is_a_share_of_the_spread():
    centers, classes = two_classes()
    drawn = Points(centers, classes, within=0.0, around=0.1).queries(4000)
    mine = drawn.centers < 40
    lengths = np.linalg.norm(centers[drawn.centers[mine]], axis=1, keepdims=True)
    moves = drawn.vectors[mine] * lengths - centers[drawn.centers[mine]]
    expected = 0.1 * class_spread(centers[:40])
    assert np.sqrt(np.mean(np.sum(moves**2, axis=1))) == pytest.approx(expected, rel=0.05)


def test_queries_are_never_in_the_gallery_and_seeds_differ():
    points = Points(*two_classes())
    gallery = next(points.blocks(2000)).vectors
    for other in (points.queries(2000).vectors, next(Points(*two_classes(), seed=1).blocks(2000)).vectors):
        assert not {row.tobytes() for row in gallery} & {row.tobytes() for row in other}
    np.testing.assert_allclose(np.linalg.norm(gallery, axis=1), 1, atol=1e-6)
    assert gallery.dtype == np.float32


def test_memory_is_that_of_a_block():
    points = Points(*two_classes())
    tracemalloc.start()
    total = sum(len(block.vectors) for block in points.blocks(20 * CHUNK, block_rows=CHUNK))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 20 * CHUNK
    assert peak < 8 * CHUNK * DIM * 4


def test_class_axes_by_hand():
    square = np.array([[3, 1, 0], [-3, 1, 0], [0, 3, 0], [0, -1, 0]], np.float32)  # mean [0, 1, 0]
    axes = class_axes(square, 3)
    # Deviations: sqrt(18 / 4) along x, sqrt(8 / 4) along y, none along z.
    np.testing.assert_allclose(np.abs(axes), np.diag([4.5**0.5, 2**0.5, 0]), atol=1e-12)
    assert class_spread(square) == pytest.approx((4.5 + 2) ** 0.5)
    np.testing.assert_array_equal(class_axes(square[:1], 2), np.zeros((2, 3)))  # one vector has no spread


def test_estimators_of_dimension_on_known_clouds():
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(30, 30)))[0][:5]
    cloud = (rng.uniform(size=(1500, 5)) @ turned).astype(np.float32)
    assert two_nn(cloud) == pytest.approx(5, rel=0.12)
    assert two_nn(np.vstack([cloud, cloud[:50]])) == pytest.approx(5, rel=0.12)  # equal points say nothing
    assert participation_ratio(cloud) == pytest.approx(5, rel=0.05)
    # Variances 4, 1, 1: (4 + 1 + 1)^2 / (16 + 1 + 1) = 2.
    axes = np.array([[2, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    assert participation_ratio(axes) == pytest.approx(2)


def test_the_dimension_of_points_is_reported():
    found = Points(*two_classes(), around=0.0).intrinsic_dimension(sample=1500)
    assert 2 < found.two_nn < 4.5  # each class lies on a sphere's patch of three dimensions
    assert 4 < found.participation < 7  # and both together spread over six


def test_centers_without_classes_are_refused():
    centers, classes = two_classes()
    with pytest.raises(ValueError, match="centers are"):
        Points(centers, classes[:-1])
    with pytest.raises(ValueError, match="0 points in blocks of 65536"):
        list(Points(centers, classes).blocks(0))
