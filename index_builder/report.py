"""A published gallery in, a report for people out: `report.md` and plots, never inside the gallery itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from index_builder.gallery import Gallery
from index_builder.near_duplicates import THRESHOLD, Duplicates, near_duplicates
from index_builder.report_plots import plot_categories, plot_recall

if TYPE_CHECKING:
    from index_builder.build import Built

REPORT_FILE = "report.md"
RECALL_PLOT, CATEGORIES_PLOT = "recall.png", "categories.png"
CATEGORIES = 20
GROUPS = 20
GROUP_PRODUCTS = 8
NO_PLOTS = "(no plots: matplotlib is not installed; `make dev-env` installs it)"


def write_report(folder: Path, gallery_folder: Path, built: Built) -> Path:
    """Write the report of a build into a folder and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    gallery = Gallery.open(gallery_folder, verify=False)
    try:
        parts = [_head(built), _recall(folder, built), _categories(folder, gallery), _duplicates(gallery)]
    finally:
        gallery.close()
    path = folder / REPORT_FILE
    temporary = folder / f".{REPORT_FILE}.tmp"
    temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def _head(built: Built) -> str:
    manifest, counts = built.manifest, built.counts
    facts = [
        ("made (UTC)", f"{manifest.created_at:%Y-%m-%d %H:%M}"),
        ("catalog", f"{manifest.catalog['file']}, splits: {', '.join(manifest.splits or ['all'])}"),
        ("products", f"{manifest.products:,}"),
        ("rows (pictures)", f"{manifest.count:,}"),
        ("embedded now", f"{counts.embedded:,}"),
        ("reused from earlier builds", f"{counts.reused:,}"),
        ("resumed from a stopped run", f"{counts.resumed:,}"),
        ("skipped rows", f"{manifest.catalog['rows_skipped']:,}"),
        ("vectors", f"image {manifest.image_dim} ({manifest.image_vector}), text {manifest.text_dim}"),
        ("default weight", f"{manifest.default_weight:g}"),
        ("index", manifest.recipe.factory),
    ]
    return f"# Gallery {manifest.version}\n\n" + _table(("", ""), facts)


def _recall(folder: Path, built: Built) -> str:
    manifest = built.manifest
    recipe = manifest.recipe
    measured = [(f"{row.weight:g}", f"{row.recall_at_10:.3f}") for row in manifest.recall]
    parts = ["## What the index finds", _table(("weight", "recall@10"), measured)]
    if recipe.shortfall:
        parts.append(f"**{recipe.shortfall}**")
    if not recipe.points:
        return "\n\n".join([*parts, "The index compares a query with every row: there is nothing to tune."])
    rows = [
        (
            ", ".join(f"{name} {value:g}" for name, value in point.search_parameters.items()) or "-",
            f"{point.candidates}",
            *(f"{row.recall_at_10:.3f}" for row in point.recall),
            f"{point.ms_per_query:.2f}",
        )
        for point in recipe.points
    ]
    weights = [f"recall at {row.weight:g}" for row in recipe.points[0].recall]
    parts.append(_plotted(folder / RECALL_PLOT, lambda path: plot_recall(path, recipe, weight=manifest.default_weight)))
    parts.append(_table(("setting", "candidates", *weights, "ms"), rows))
    return "\n\n".join(parts)


def _categories(folder: Path, gallery: Gallery) -> str:
    counts = gallery.category_paths()
    if not counts:
        return "## Categories\n\nNo product has a category path."
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    top, rest = dict(ranked[:CATEGORIES]), sum(count for _, count in ranked[CATEGORIES:])
    rows = [(path, f"{count:,}") for path, count in top.items()]
    if rest:
        rows.append((f"{len(ranked) - CATEGORIES:,} others", f"{rest:,}"))
    plot = _plotted(folder / CATEGORIES_PLOT, lambda path: plot_categories(path, top, rest=rest))
    return "\n\n".join(
        [f"## Categories\n\n{len(ranked):,} category paths.", plot, _table(("category", "products"), rows)]
    )


def _duplicates(gallery: Gallery) -> str:
    found = near_duplicates(gallery)
    seen = "all rows" if found.looked_at == gallery.manifest.count else f"a sample of {found.looked_at:,} rows"
    said = f"Groups of products with pictures of an image cosine above {THRESHOLD:g}, among {seen}: "
    parts = ["## Nearly the same pictures", f"{said}{len(found.groups):,}."]
    if found.groups:
        parts.append(_table(("products", "which"), _listed(gallery, found)))
    if len(found.groups) > GROUPS:
        parts.append(f"The {GROUPS} largest are shown.")
    return "\n\n".join(parts)


def _listed(gallery: Gallery, found: Duplicates) -> Iterator[tuple[str, str]]:
    for group in found.groups[:GROUPS]:
        shown = gallery.rows(group[:GROUP_PRODUCTS])
        names = [f"{product['product_id']} ({product['title'] or 'no title'})" for product in shown]
        more = f" and {len(group) - GROUP_PRODUCTS:,} more" if len(group) > GROUP_PRODUCTS else ""
        yield f"{len(group):,}", ", ".join(names) + more


def _plotted(path: Path, plot: Callable[[Path], None]) -> str:
    try:
        plot(path)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        return NO_PLOTS
    return f"![{path.stem}]({path.name})"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text of a catalog, which must not break the table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").replace("\r", " ")
