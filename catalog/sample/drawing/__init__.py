"""A product's `Look` goes in; its drawing comes out, as an SVG fragment in a 100 x 100 box or as a picture.

Every drawing is made of paths filled by `paint` (material, pattern, volume); one module draws one family of categories.
"""

from catalog.sample.drawing.categories import CATEGORIES, CategoryLook
from catalog.sample.drawing.colors import COLORS
from catalog.sample.drawing.drawings import draw
from catalog.sample.drawing.svg import outline_svg, render

__all__ = ["CATEGORIES", "COLORS", "CategoryLook", "draw", "outline_svg", "render"]
