"""The bodies of the HTTP contract (DESIGN section 5). Everything that enters or leaves the service is one of these."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from index_builder.manifest import LabelMode, LabelSettings, TextSettings

MAX_TOP_K = 200
MAX_WEIGHT = 25.0

Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K)]
Score = float


class Body(BaseModel):
    """Base of all bodies: unknown fields are refused, so that a misspelt option is noticed."""

    model_config = ConfigDict(extra="forbid")


class BoxBody(Body):
    """Pixels of the upright photo; max is exclusive."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class SearchOptions(Body):
    """The fields of POST /search beside the photo itself. Exactly one of image, url, product_id, query_id is given."""

    url: str | None = Field(default=None, max_length=2048)
    product_id: str | None = Field(default=None, max_length=256)
    query_id: str | None = Field(default=None, max_length=64)
    category: str | None = Field(
        default=None, max_length=200, description="a label, a category path prefix, or free words"
    )
    box: str | None = Field(
        default=None, max_length=100, description="x_min,y_min,x_max,y_max in pixels of the upright photo"
    )
    weight: Weight | None = Field(
        default=None, description="factor between text and image cosine; default: the gallery's"
    )
    label_mode: LabelMode | None = Field(
        default=None, description="how the predicted labels enter (DESIGN section 1); default: the gallery's"
    )
    top_k: TopK = 10
    filters: str | dict[str, Any] | None = Field(
        default=None,
        description='JSON {column: value | [values] | {"gte": x, "lte": y}}; only products that match are hits',
    )


class TextOptions(Body):
    """The fields of POST /search/text."""

    query: str = Field(max_length=200, description="a shopper's words")
    top_k: TopK = 10
    filters: str | dict[str, Any] | None = Field(default=None, description="as those of POST /search")


class Operation(StrEnum):
    """What POST /invocations can be asked for."""

    SEARCH = "search"
    SEARCH_TEXT = "search_text"
    PRODUCT = "product"
    PICTURE = "picture"
    CATEGORIES = "categories"
    GALLERY = "gallery"


class Invocation(SearchOptions):
    """The envelope of POST /invocations: the fields of its operation beside the operation itself."""

    operation: Operation = Operation.SEARCH
    image: str | None = Field(default=None, description="the photo as base64, for search")
    query: str | None = Field(default=None, max_length=200, description="a shopper's words, for search_text")


class ProductOptions(Body):
    """The field of the operations `product` and `picture`."""

    product_id: str = Field(max_length=256)


class LabelBody(Body):
    """One label of the classifier and its probability."""

    label: str
    score: float = Field(ge=0, le=1)


class Hit(BaseModel):
    """A product of the gallery and why it is here. Further catalog columns come as extra fields."""

    model_config = ConfigDict(extra="allow")

    product_id: str
    score: Score = Field(
        description="(image_score + weight * text_score) / (1 + weight); text_score in a search by words"
    )
    image_score: Score | None = Field(description="cosine of the image parts; null in a search by words")
    text_score: Score | None = Field(description="cosine of the text parts; null where either side has no text")
    title: str
    category_path: str
    price: float | None = None
    url: str | None = None
    image_url: str


class Timings(Body):
    """Milliseconds spent in each stage of this request."""

    decode: float
    models: float
    fuse: float
    search: float
    total: float


class SearchResponse(Body):
    """The answer of POST /search."""

    query_id: str
    gallery_version: str
    label: str | None
    label_score: float | None
    labels: list[LabelBody]
    category: str | None = Field(
        description="what the text part was made of: the predicted label or the category asked for"
    )
    abstained: bool = Field(
        description="the best label is below the gallery's min_confidence, so the photo was searched by its look alone"
    )
    box: BoxBody | None
    weight: float
    hits: list[Hit]
    timings_ms: Timings


class TextResponse(Body):
    """The answer of POST /search/text."""

    gallery_version: str
    query: str
    hits: list[Hit]
    timings_ms: Timings


class RecallBody(Body):
    """recall@10 of the live index against exact search at one weight."""

    weight: float
    recall_at_10: float


class SwapFailureBody(Body):
    """A gallery that should answer and does not; it is tried again."""

    version: str
    reason: str
    attempts: int


class ChangesBody(Body):
    """How this replica follows the journal of changes since the build."""

    sequence: int = Field(description="the last batch that was dealt with")
    applied: int = Field(description="batches taken in since the gallery was opened")
    skipped: int = Field(description="batches that do not fit this gallery")
    misfits: list[str] = Field(description="why, of the last few")
    reason: str | None = Field(description="why the journal cannot be followed; what answers goes on")


class FollowingBody(Body):
    """How this replica follows the store."""

    wanted: str | None = Field(description="the version it should answer from, as last read from the store")
    on_trial: bool = Field(description="whether the gallery that answers here is a canary")
    failures: list[SwapFailureBody]
    store_failure: str | None = Field(description="why the store cannot be read; what answers goes on")


class GalleryResponse(Body):
    """The answer of GET /gallery: the gallery that answers here."""

    version: str
    created_at: str
    count: int
    products: int
    default_weight: float
    image_vector: str
    text_vector: str
    image_dim: int
    text_dim: int
    recipe: str
    device: str = Field(description="where the index answers: cpu or gpu")
    recall: list[RecallBody]
    spaces: dict[str, str]
    labels: list[str]
    label: LabelSettings = Field(description="how predicted labels enter a query that does not say")
    text: TextSettings = Field(description="what the text parts were made of")
    views: int = Field(description="views of each picture whose vectors were averaged")
    following: FollowingBody
    changes: ChangesBody


class SwapRequest(Body):
    """The body of POST /admin/swap. The live version again: this replica looks at the store now."""

    version: str = Field(max_length=128)
    expected_version: str | None = Field(
        default=None, max_length=128, description="refuse unless this version is live now; empty: none is"
    )


class RollbackRequest(Body):
    """The body of POST /admin/rollback, which may be empty."""

    expected_version: str | None = Field(default=None, max_length=128)


class PointerResponse(Body):
    """The answer of the admin routes: the store's pointer, and what answers here."""

    live: str
    previous: str | None
    canary: str | None
    canary_share: float
    answers: str = Field(description="the version that answers on this replica now")


class CategoriesResponse(Body):
    """The answer of GET /categories: the classifier's labels, and the gallery's category paths with their counts."""

    labels: list[str]
    category_paths: dict[str, int]


class ProductResponse(BaseModel):
    """The answer of GET /products/{id}: the catalog row."""

    model_config = ConfigDict(extra="allow")

    product_id: str
    title: str
    category_path: str
    description: str
    price: float | None = None
    url: str | None = None
    image_url: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class SampleBody(Body):
    """A photo to try the search with."""

    name: str
    url: str


class SamplesResponse(Body):
    """The answer of GET /samples."""

    photos: list[SampleBody]


class HealthResponse(Body):
    """The answer of the probes."""

    status: str
    gallery_version: str | None = None


class ErrorDetail(Body):
    """A stable code for programs and one sentence for people."""

    code: str
    message: str


class ErrorResponse(Body):
    """Every answer that is not a success."""

    error: ErrorDetail
