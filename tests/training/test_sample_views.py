"""Fresh views of the sample shop: drawn once, and each belongs to its product."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("resvg_py", reason="the sample shop is drawn with the extra 'build'")

from catalog.errors import MalformedError
from training.sample_views import sample_views


def test_views_are_drawn_once_and_belong_to_their_products(tmp_path):
    from catalog.sample.writer import draw_shop

    shop = draw_shop(tmp_path / "shop", products=3, photos=0, size_px=64, workers=0)
    views = sample_views(shop.catalog, views=2, size_px=32, cache=tmp_path / "cache")
    # Two photos give the whole and the part each, and one studio view comes along.
    assert views.images.shape == (3 * 5, 32, 32, 3)
    assert len(set(views.clusters)) == 3
    assert views.clusters[:5] == (views.clusters[0],) * 5
    (file,) = (tmp_path / "cache").iterdir()
    before = file.stat().st_mtime_ns
    again = sample_views(shop.catalog, views=2, size_px=32, cache=tmp_path / "cache")
    assert file.stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.images, views.images)
    assert len({picture.tobytes() for picture in views.images}) == 15

    settings = json.loads((shop.folder / "shop.json").read_text())
    (shop.folder / "shop.json").write_text(json.dumps({**settings, "products": 2}))
    with pytest.raises(MalformedError, match=r"has 3 rows, its shop.json says 2 products"):
        sample_views(shop.catalog, views=2, size_px=32, cache=tmp_path / "cache")
