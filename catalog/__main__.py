"""Verbs of the catalog: `sample` draws the sample shop, `check` says what is wrong with a catalog file."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from catalog.errors import NotReadyError
from catalog.rows import Catalog
from catalog.terminal import run_main

SHOWN_BAD_ROWS = 20


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m catalog", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    _add_sample(verbs.add_parser("sample", help="draw a shop of products and camera photos; needs no data, no network"))
    _add_check(verbs.add_parser("check", help="read a catalog and list its bad rows"))
    options = parser.parse_args(arguments)
    return _sample(options) if options.verb == "sample" else _check(options)


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="new folder for the shop")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another shop (default 0)")
    parser.add_argument("--products", type=int, default=1200, help="products in the catalog (default 1200)")
    parser.add_argument(
        "--photos", type=int, default=600, help="camera photos, half for training, half held out (default 600)"
    )
    parser.add_argument("--size-px", type=int, default=256, help="side of a catalog picture in pixels (default 256)")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("catalog", type=Path, help="CSV, JSON lines or Parquet")
    parser.add_argument("--split", default=None, help="only rows of these splits, for example train,val (default: all)")
    parser.add_argument(
        "--max-bad-rows", type=float, default=0.01, help="share of bad rows that is still fine (default 0.01)"
    )


def _sample(options: argparse.Namespace) -> int:
    try:
        from catalog.sample.writer import draw_shop

        shop = draw_shop(
            options.out, seed=options.seed, products=options.products, photos=options.photos, size_px=options.size_px
        )
    except ModuleNotFoundError as error:  # `check` does without the renderer
        raise NotReadyError(
            f"Drawing the sample shop needs {error.name}, which is not installed: pip install 'shopcam[build]'."
        ) from error
    done = "drew" if shop.redrawn else "nothing to do, the same shop is already there:"
    made = f"{shop.products:,} products in {shop.categories} categories and {shop.photos:,} camera photos"
    Console(highlight=False, markup=False).print(
        f"{done} {made}: {shop.catalog}",
        soft_wrap=True,
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    from catalog.reader import load_catalog

    splits = tuple(options.split.split(",")) if options.split else None
    catalog = load_catalog(options.catalog, splits=splits, max_bad_rows=1.0)
    console = Console(highlight=False, markup=False)
    console.print(_counts(catalog))
    if catalog.bad_rows:
        console.print(_bad_rows(catalog))
    bad, total = len(catalog.bad_rows), len(catalog.bad_rows) + len(catalog.products)
    over = bad > options.max_bad_rows * total
    verdict = (
        f"more than the limit of {options.max_bad_rows:.1%}"
        if over
        else f"within the limit of {options.max_bad_rows:.1%}"
    )
    console.print(f"{options.catalog}: {bad} of {total} rows are bad, {verdict}", soft_wrap=True)
    return int(over or not catalog.products)


def _counts(catalog: Catalog) -> Table:
    products = catalog.products
    table = Table(show_header=False)
    counts = {
        "readable rows": len(products),
        "bad rows": len(catalog.bad_rows),
        "categories": len({product.category for product in products if product.category}),
        "labels": len({product.label for product in products if product.label}),
        "without title": sum(not product.title for product in products),
        "without price": sum(product.price is None for product in products),
    }
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    for split, count in sorted(Counter(product.split or "(none)" for product in products).items()):
        table.add_row(Text(f"split {split}"), f"{count:,}")
    return table


def _bad_rows(catalog: Catalog) -> Table:
    table = Table("row", "product_id", "reason", title="bad rows", title_justify="left")
    for bad in catalog.bad_rows[:SHOWN_BAD_ROWS]:
        table.add_row(str(bad.row), Text(bad.product_id), Text(bad.reason))
    if len(catalog.bad_rows) > SHOWN_BAD_ROWS:
        table.caption = f"and {len(catalog.bad_rows) - SHOWN_BAD_ROWS:,} more"
    return table


if __name__ == "__main__":
    run_main(main)
