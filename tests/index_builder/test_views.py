"""Views of a picture by hand, and galleries whose vectors are means over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.errors import OutOfRangeError
from index_builder.build import build_gallery
from index_builder.gallery import Gallery
from index_builder.manifest import ImageVector, TextVector
from index_builder.store import LocalStore
from index_builder.views import mean_of_views, mean_probabilities, views_of
from tests.index_builder.test_gallery import PICTURE_OF_ROW
from tests.tiny_repository import random_pictures


def test_the_second_view_is_the_mirror_image():
    picture = random_pictures(1, seed=4)[0]
    one, mirrored = views_of(picture, 2)
    np.testing.assert_array_equal(one, picture)
    for column in range(32):
        np.testing.assert_array_equal(mirrored[:, column], picture[:, 31 - column])


def test_the_third_view_is_the_middle_at_full_size():
    """Bicubic interpolation leaves a linear ramp linear: out pixel i shows in pixel 2 + 28 (i + 0.5) / 32 - 0.5."""
    ramp = np.arange(32) * 7.0
    picture = np.broadcast_to(ramp[None, :, None], (32, 32, 3)).astype(np.uint8)
    _, _, crop, mirrored = views_of(picture, 4)
    expected = 7 * (2 + 28 * (np.arange(32) + 0.5) / 32 - 0.5)
    inner = slice(3, 29)  # at the ends the crop's own border bends the ramp
    np.testing.assert_allclose(
        crop[:, inner].astype(float), np.broadcast_to(expected[None, inner, None], (32, 26, 3)), atol=1
    )
    np.testing.assert_array_equal(mirrored, crop[:, ::-1])
    assert len(views_of(picture, 3)) == 3


def test_means_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.6, 0.8]], np.float32)
    # (0.5, 0.5) has length sqrt(0.5); two equal vectors stay as they are.
    np.testing.assert_allclose(mean_of_views(vectors, 2), [[np.sqrt(0.5)] * 2, [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(mean_probabilities(vectors, 2), [[0.5, 0.5], [0.6, 0.8]], rtol=1e-6)
    assert mean_of_views(vectors, 1) is vectors
    assert mean_probabilities(vectors, 1) is vectors


@pytest.mark.parametrize("count", [0, -1, 5])
def test_other_counts_are_refused(count: int, shop, networks, tmp_path: Path):
    with pytest.raises(OutOfRangeError, match=f"views is {count}, expected 1 to 4"):
        views_of(random_pictures(1)[0], count)
    with pytest.raises(OutOfRangeError, match=f"views is {count}, expected 1 to 4"):
        build_gallery(
            shop.catalog, networks, None, store=LocalStore(tmp_path / "s"), text_vector=TextVector.NONE, views=count
        )
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("case", [(1, "embedding"), (2, "embedding"), (4, "embedding"), (2, "pooled"), (3, "pooled")])
def test_a_gallery_of_views_is_the_mean_of_each_view(shop, networks, tiny, tmp_path: Path, case: tuple[int, str]):
    views, image_vector = case[0], ImageVector(case[1])
    store = LocalStore(tmp_path / "s")
    options = {"text_vector": TextVector.NONE, "image_vector": image_vector, "views": views}
    assert build_gallery(shop.catalog, networks, None, store=store, version="v", **options).views == views
    gallery = Gallery.open(store.gallery("v"))
    pictures = shop.pictures[PICTURE_OF_ROW].astype(np.float64)
    crops = np.stack([views_of(picture, 4)[2] for picture in shop.pictures[PICTURE_OF_ROW]])
    seen = [pictures, pictures[:, :, ::-1], crops, crops[:, :, ::-1]][:views]
    vectors = [getattr(tiny[1].outputs(view), image_vector).astype(np.float64) for view in seen]
    for row in range(gallery.manifest.count):
        total = sum(view[row] for view in vectors)
        np.testing.assert_allclose(gallery.image_vector(row), total / np.linalg.norm(total), atol=3e-6)


def test_reference_photos_keep_the_vector_of_the_photo_itself(shop, networks, tiny, tmp_path: Path):
    """The service checks its networks with the stored photo, one view of it."""
    store = LocalStore(tmp_path / "s")
    build_gallery(shop.catalog, networks, None, store=store, version="v", text_vector=TextVector.NONE, views=2)
    gallery = Gallery.open(store.gallery("v"))
    for reference in gallery.manifest.references:
        pixels = np.asarray(Image.open(gallery.folder / reference.image))
        np.testing.assert_allclose(tiny[1].outputs(pixels[None]).embedding[0], reference.image_vector, atol=2e-6)
        assert np.linalg.norm(gallery.image_vector(reference.row) - reference.image_vector) > 0.01
