"""Facts about a gallery in, the recipe of its index out: pure arithmetic, FAISS is not asked.

The budget is about the index file, which a search holds in memory; the exact vectors beside it stay on disk, mapped.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from catalog.errors import OutOfRangeError
from index_builder.manifest import Device, IndexRecipe
from index_builder.part_transforms import split_factory

AUTO = "auto"
FLAT = "Flat"
HNSW = "HNSW32"
SMALL_HNSW = "HNSW16"
FLAT_ROWS = 50_000  # up to here an exact scan is as quick as anything else on a request's scale
GRAPH_ROWS = 2_000_000  # beyond, building a graph takes hours on a common machine
CODED_ROWS = 10_000  # below, lists and codes have too little to learn from (FAISS wants 39 rows a centroid)
TRAINING_ROWS = 200_000
ROWS_PER_LIST = 39
LARGEST_FLAT_GPU_ROWS = 1_000_000
IMAGE_OUT, TEXT_OUT = 256, 128  # word vectors of 110 are padded, so that sub-spaces of 8 align and number 48
# What a graph is searched by: a graph over half of that is quicker, and listing more candidates costs little.
SMALL_IMAGE_OUT, SMALL_TEXT_OUT = 128, 64
SMALL_GRAPH_ROWS = 200_000  # the denser the rows, the more candidates they need: of a million rows 128 and more
SUBSPACE = 8
EF_SEARCH = 128

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Budget:
    """What an index may cost and must find. Raises `OutOfRangeError` for values that make no sense."""

    max_memory_bytes: int | None = None
    target_recall: float = 0.95  # recall@10 at the default weight, after exact re-ranking
    device: Device = Device.CPU

    def __post_init__(self) -> None:
        if not 0 <= self.target_recall <= 1:
            raise OutOfRangeError(f"target recall is {self.target_recall}, expected a share from 0 to 1")
        if self.max_memory_bytes is not None and self.max_memory_bytes < 1:
            raise OutOfRangeError(f"max memory is {self.max_memory_bytes} bytes, at least 1 is needed")


@dataclass(frozen=True)
class Facts:
    """What decides about a recipe: the gallery's size and the budget. `text_dim` is 0 without text."""

    count: int
    image_dim: int
    text_dim: int = 0
    budget: Budget = field(default_factory=Budget)

    @property
    def dim(self) -> int:
        """D, of a fused vector."""
        return self.image_dim + self.text_dim


@dataclass(frozen=True)
class Option:
    """A recipe that may be chosen, and the recall@10 after exact re-ranking that it is trusted to reach.

    The trust only orders the options before anything is built; what an index does reach is measured when it is tuned.
    """

    factory: str
    trusted_recall: float


def choose_recipe(recipe: str, facts: Facts) -> IndexRecipe:
    """Return the recipe for a factory string, or for "auto" the quickest that fits the budget and should find enough.

    When none that fits should find enough, the one that should find most. Raises `OutOfRangeError` when nothing fits.
    """
    budget = facts.budget
    factory = choose_factory(facts) if recipe == AUTO else recipe
    needed = memory_bytes(factory, count=facts.count, dim=facts.dim, device=budget.device)
    if budget.max_memory_bytes is not None and needed is not None and needed > budget.max_memory_bytes:
        raise OutOfRangeError(
            f"the recipe '{factory}' needs about {needed:,} bytes for {facts.count:,} vectors of dim {facts.dim}, "
            f"{budget.max_memory_bytes:,} are allowed; give more --max-memory or another --recipe"
        )
    return starting_recipe(factory).model_copy(
        update={"device": budget.device, "target_recall": budget.target_recall},
    )


def choose_factory(facts: Facts) -> str:
    """Return the factory string that `choose_recipe` takes for "auto"; where nothing fits, that of the smallest."""
    found = options(facts)
    limit = facts.budget.max_memory_bytes

    def size(option: Option) -> float:
        needed = memory_bytes(option.factory, count=facts.count, dim=facts.dim, device=facts.budget.device)
        return math.inf if needed is None else needed

    fitting = [option for option in found if limit is None or size(option) <= limit]
    if not fitting:
        return min(found, key=size).factory
    enough = [option for option in fitting if option.trusted_recall >= facts.budget.target_recall]
    return enough[0].factory if enough else max(fitting, key=lambda option: option.trusted_recall).factory


def options(facts: Facts) -> list[Option]:
    """Return the recipes that "auto" chooses from, the quickest to search first."""
    return _gpu_options(facts) if facts.budget.device is Device.GPU else _cpu_options(facts)


def starting_recipe(factory: str) -> IndexRecipe:
    """Return a recipe with the search parameters that it has before it is tuned."""
    parameters: dict[str, int | float] = {}
    if lists := list_count(factory):
        parameters["nprobe"] = max(8, lists // 8)  # FAISS' own default of 1 finds a quarter of the neighbors
        if has_graph_of_lists(factory):
            parameters["quantizer_efSearch"] = 2 * int(parameters["nprobe"])
    elif "HNSW" in factory:
        parameters["efSearch"] = EF_SEARCH
    if is_refined(factory):
        parameters["k_factor_rf"] = 4
    return IndexRecipe(factory=factory, search_parameters=parameters)


def list_count(factory: str) -> int:
    """Return nlist of a factory string, 0 without inverted lists."""
    found = re.search(r"IVF(\d+)([kM]?)", factory)
    return int(found[1]) * {"": 1, "k": 2**10, "M": 2**20}[found[2]] if found else 0


def has_graph_of_lists(factory: str) -> bool:
    """Tell whether the lists to probe are found by a graph, which has an efSearch of its own."""
    return re.search(r"IVF\d+[kM]?_HNSW", factory) is not None


def is_refined(factory: str) -> bool:
    """Tell whether FAISS itself ranks the listed rows again, by better codes."""
    return re.search(r",(RFlat|Refine\(.+\))$", factory) is not None


def is_compressed(factory: str) -> bool:
    """Tell whether the index compares anything but whole rows, so that listing more candidates finds more."""
    return re.search(r"PCA|OPQ|PQ|SQ|LSH|RaBitQ|ITQ|RQ|Lattice", factory) is not None


def memory_bytes(factory: str, *, count: int, dim: int, device: Device = Device.CPU) -> int | None:
    """Return about how many bytes an index of `count` vectors of `dim` takes; None for a recipe it does not know.

    On a GPU "Flat" is held in fp16.
    """
    if device is Device.GPU and factory == FLAT:
        return 2 * count * dim
    if graph := re.fullmatch(r"CAGRA(\d+)", factory):
        return count * (4 * dim + 4 * int(graph[1]))
    head, transform, inner_dim, outer_dim = _after_transform(factory, dim)
    body = re.fullmatch(r"(.+?)(?:,(RFlat|Refine\((?P<by>.+)\)))?", head)
    if body is None or inner_dim is None:
        return None
    stored = _stored_bytes(body[1], count=count, dim=inner_dim)
    refined = _refined_bytes(body[2], body["by"], count=count, dim=outer_dim)
    return None if stored is None or refined is None else transform + stored + refined


def parse_bytes(text: str) -> int:
    """Return the number of bytes of "4GB", "512MiB" or "1000000". Raises `OutOfRangeError` for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?\s*", text, re.IGNORECASE)
    if found is None:
        raise OutOfRangeError(f"memory is '{text}', expected a number of bytes such as 4GB or 512MiB")
    unit = (found[2] or "").upper()
    return int(float(found[1]) * (_BINARY_UNITS[unit] if found[3] else _UNITS[unit]))


def _cpu_options(facts: Facts) -> list[Option]:
    image_out, text_out = _reduced(facts)
    smaller = image_out + text_out < facts.dim
    pca, found = f"PCA{image_out}+{text_out}", []
    small = _reduced(facts, SMALL_IMAGE_OUT, SMALL_TEXT_OUT)
    if facts.count <= FLAT_ROWS:
        found += [Option(FLAT, 1.0)]
        found += [Option(f"{pca},{FLAT}", 0.96)] if smaller else []
        found += [Option("SQfp16", 0.999), Option("SQ8", 0.98)]
    if facts.count <= GRAPH_ROWS:
        few = facts.count <= SMALL_GRAPH_ROWS and sum(small) < facts.dim
        found += [Option(f"PCA{small[0]}+{small[1]},{SMALL_HNSW}", 0.96)] if few else []
        found += [Option(f"{pca},{HNSW}", 0.98)] if smaller else []
        found += [Option(HNSW, 0.99), Option(f"{HNSW}_SQ8", 0.98)]
    if facts.count < CODED_ROWS:
        return found
    lists = _lists(facts.count)
    found += [Option(f"{lists},{codes}", trust) for codes, trust in ((FLAT, 0.99), ("SQfp16", 0.99), ("SQ8", 0.98))]
    codes = (image_out + text_out) // SUBSPACE
    opq = f"OPQ{image_out}+{text_out},{lists}"
    found += [Option(f"{opq},PQ{codes},Refine(SQ8)", 0.96), Option(f"{opq},PQ{codes}", 0.93)]
    if image_out % (2 * SUBSPACE) == text_out % (2 * SUBSPACE) == 0:
        found += [Option(f"{opq},PQ{codes // 2}", 0.85)]
    return found


def _gpu_options(facts: Facts) -> list[Option]:
    found = [Option(FLAT, 0.999)] if facts.count <= LARGEST_FLAT_GPU_ROWS else []
    found += [Option("CAGRA64", 0.98)]
    if facts.count >= CODED_ROWS:
        image_out, text_out = _reduced(facts)
        lists = _lists(facts.count).removesuffix("_HNSW32")  # a GPU compares with all centroids at once
        found += [Option(f"OPQ{image_out}+{text_out},{lists},PQ{(image_out + text_out) // SUBSPACE}", 0.93)]
    return found if facts.count <= LARGEST_FLAT_GPU_ROWS else [*found, Option(FLAT, 0.999)]


def _reduced(facts: Facts, image_most: int = IMAGE_OUT, text_most: int = TEXT_OUT) -> tuple[int, int]:
    """Return the dims of the reduced parts: multiples of 8, so that no sub-space holds some of both."""
    image_out = min(image_most, SUBSPACE * math.ceil(facts.image_dim / SUBSPACE))
    return image_out, min(text_most, 32 * math.ceil(facts.text_dim / 32))


def _lists(count: int) -> str:
    """Return IVF with about 4 sqrt(N) lists, fewer where the training sample could not teach so many."""
    lists = 2 ** round(math.log2(4 * math.sqrt(count)))
    while lists * ROWS_PER_LIST > min(count, TRAINING_ROWS):
        lists //= 2
    return f"IVF{lists}_HNSW32" if lists >= 4096 else f"IVF{lists}"


def _after_transform(factory: str, dim: int) -> tuple[str, int, int | None, int]:
    """Return the rest of a factory string, bytes of its transform, the dim behind it, and that of a refinement."""
    ours = split_factory(factory)
    if ours is not None:
        return ours.inner, 4 * ours.dim * dim, ours.dim, ours.dim
    if found := re.fullmatch(r"PCAR?(\d+),(.+)", factory):
        out = int(found[1])
        return found[2], 4 * (out * dim + dim * dim + 2 * dim), out, dim
    if found := re.fullmatch(r"OPQ\d+(?:_(\d+))?,(.+)", factory):
        out = int(found[1] or dim)
        return found[2], 4 * out * dim, out, dim
    return factory, 0, dim, dim


def _stored_bytes(body: str, *, count: int, dim: int) -> int | None:
    if found := re.fullmatch(r"IVF\d+[kM]?(?:_HNSW(\d+))?,(.+)", body):
        lists = list_count(body)
        graph = _graph_bytes(lists, int(found[1])) if found[1] else 0
        codes = _code_bytes(found[2], count=count, dim=dim)
        return None if codes is None else 4 * lists * dim + graph + 8 * count + codes
    if found := re.fullmatch(r"HNSW(\d+)(?:[_,](.+))?", body):
        codes = _code_bytes(found[2] or FLAT, count=count, dim=dim)
        return None if codes is None else _graph_bytes(count, int(found[1])) + codes
    return _code_bytes(body, count=count, dim=dim)


def _code_bytes(codes: str, *, count: int, dim: int) -> int | None:
    if codes == FLAT:
        return 4 * count * dim
    if found := re.fullmatch(r"SQ(8|6|4|fp16|bf16)", codes):
        bits = {"8": 8, "6": 6, "4": 4}.get(found[1], 16)
        return count * math.ceil(bits * dim / 8) + 8 * dim
    if found := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(?:np|fsr?)?", codes):
        subspaces, bits = int(found[1]), int(found[2] or 8)
        return count * math.ceil(subspaces * bits / 8) + 4 * (1 << bits) * dim
    return None


def _graph_bytes(count: int, links: int) -> int:
    """Bytes of an HNSW graph: 2 M links below, M links on each of 1 / (M - 1) levels above on average, bookkeeping."""
    return round(count * (4 * (2 * links + links / (links - 1)) + 12))


def _refined_bytes(refine: str | None, by: str | None, *, count: int, dim: int) -> int | None:
    return 0 if refine is None else _code_bytes(by or FLAT, count=count, dim=dim)
