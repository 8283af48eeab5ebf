"""A service's settings in, the OpenAPI 3.1 document of everything it answers out: GET /docs.json.

The schemas are those of the pydantic models that read requests and write answers. A test asks the running service
thousands of times whether they tell the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bento.deadlines import HEADER as TIMEOUT
from bento.deadlines import MAX_DIGITS
from bento.openapi_answers import HEADERS, error_answers, error_references, success
from bento.openapi_bodies import FILTERS, invocation_body, json_body, search_body, text_body
from bento.routes import Access, access_of
from bento.schemas import (
    CategoriesResponse,
    ErrorResponse,
    GalleryResponse,
    HealthResponse,
    PointerResponse,
    ProductResponse,
    RollbackRequest,
    SamplesResponse,
    SearchResponse,
    SwapRequest,
    TextResponse,
)
from bento.settings import Settings

PATH = "/docs.json"
CONTRACT_VERSION = "1"  # of what clients rely on; an answer that gains a field keeps it
INTRODUCTION = """\
A photo in, the shop's most similar products out.

Every answer that is not a success is `{"error": {"code", "message"}}`: `code` is for programs and keeps its meaning,
`message` is one sentence for people. HEAD is answered where GET is; any other method is answered 405 with `Allow`.
Fields that are not described here are refused with 400, so that a misspelt option is noticed; query parameters and
headers that are not are ignored.
"""
READ = (503,)  # what is read from the live gallery may have to wait for one
UPLOAD = (400, 408, 413, 422, 429, 503, 504)
TIMED = ("/search", "/search/text")
PRODUCT_ID = {
    "name": "product_id",
    "in": "path",
    "required": True,
    "description": "as in a hit, percent-encoded",
    "schema": {"type": "string", "minLength": 1},
}
SAMPLE_NUMBER = {
    "name": "number",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
PATIENCE = {
    "name": TIMEOUT,
    "in": "header",
    "description": "how long the answer is waited for, in milliseconds from the last byte of the request on",
    "schema": {"type": "integer", "minimum": 1, "maximum": 10**MAX_DIGITS - 1},
}
REQUESTS: tuple[type[BaseModel], ...] = (SwapRequest, RollbackRequest)


@dataclass(frozen=True)
class Operation:
    """One method of one path. `answer` is a model, sent as JSON, or a media type."""

    method: str
    path: str
    name: str
    summary: str
    answer: type[BaseModel] | str
    errors: tuple[int, ...] = ()
    body: Mapping[str, Any] | None = None
    parameters: tuple[Mapping[str, Any], ...] = ()


def operations() -> list[Operation]:
    """Everything that is answered, in the order in which a reader meets it."""
    return [
        Operation(
            "post",
            "/search",
            "search",
            "Search with a photo, its address, a product of the gallery, or the vectors of an earlier photo",
            SearchResponse,
            (*UPLOAD, 403, 404, 415),
            search_body(),
            (PATIENCE,),
        ),
        Operation(
            "post", "/search/text", "search_text", "Search with words", TextResponse, UPLOAD, text_body(), (PATIENCE,)
        ),
        Operation(
            "post",
            "/invocations",
            "invocations",
            "Any of these operations, as SageMaker asks for them; the answer is that of the operation",
            "*/*",
            (*UPLOAD, 403, 404, 415),
            invocation_body(),
            (PATIENCE,),
        ),
        *_data(),
        *_probes(),
        *_admin(),
        Operation("get", "/", "page", "The shop's page", "text/html"),
        Operation("get", "/engineers", "engineers", "The page of those who tune", "text/html"),
        Operation("get", PATH, "describe", "This document", "application/json"),
    ]


def _data() -> list[Operation]:
    product, sample = (PRODUCT_ID,), (SAMPLE_NUMBER,)
    return [
        Operation("get", "/gallery", "gallery", "The gallery that answers", GalleryResponse, READ),
        Operation("get", "/categories", "categories", "What `category` may be", CategoriesResponse, READ),
        Operation(
            "get",
            "/products/{product_id}",
            "product",
            "A row of the catalog",
            ProductResponse,
            (404, *READ),
            None,
            product,
        ),
        Operation(
            "get", "/products/{product_id}/image", "picture", "Its picture", "image/jpeg", (404, *READ), None, product
        ),
        Operation("get", "/samples", "samples", "Photos to try", SamplesResponse, READ),
        Operation("get", "/samples/{number}", "sample", "One of them", "image/*", (404,), None, sample),
    ]


def _probes() -> list[Operation]:
    return [
        Operation(
            "get", "/ping", "ping", "Whether a search works, answered within two seconds", HealthResponse, (503,)
        ),
        Operation("get", "/livez", "livez", "Whether the process answers", HealthResponse),
        Operation("get", "/healthz", "healthz", "The same, by its older name", HealthResponse),
        Operation("get", "/readyz", "readyz", "Whether a search works now", HealthResponse, (503,)),
        Operation("get", "/metrics", "metrics", "Prometheus text", CONTENT_TYPE_LATEST.split(";")[0]),
    ]


def _admin() -> list[Operation]:
    errors = (400, 401, 403, 404, 409, 413, 422, 503)
    swap, rollback = json_body(SwapRequest, required=True), json_body(RollbackRequest, required=False)
    return [
        Operation(
            "post", "/admin/swap", "swap", "Make a published gallery live, if it passes the gate",
            PointerResponse, errors, swap,
        ),
        Operation(
            "post", "/admin/rollback", "rollback", "Make the gallery live that was before",
            PointerResponse, errors, rollback,
        ),
    ]  # fmt: skip


def document(settings: Settings) -> dict[str, Any]:
    """The document of a service with these settings: keys, tokens and limits stand in it where the service has them."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, settings)
    return {
        "openapi": "3.1.0",
        "info": {"title": "shopcam", "version": CONTRACT_VERSION, "description": INTRODUCTION},
        "paths": paths,
        "components": {
            "schemas": {**_schemas(operations()), "Filters": FILTERS},
            "responses": error_answers(),
            "headers": HEADERS,
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "BearerKey": {"type": "http", "scheme": "bearer", "description": "the API key as a bearer token"},
                "AdminToken": {"type": "http", "scheme": "bearer", "description": "SHOPCAM_ADMIN_TOKEN"},
                "MetricsToken": {"type": "http", "scheme": "bearer", "description": "SHOPCAM_METRICS_TOKEN"},
            },
        },
    }


def route(settings: Settings) -> Route:
    """The route that answers the document."""
    described = document(settings)

    async def docs(_: Request) -> Response:
        return JSONResponse(described)

    return Route(PATH, docs)


def _described(operation: Operation, settings: Settings) -> dict[str, Any]:
    access = access_of(operation.path)
    limited = access is Access.KEY and _has_limits(settings)
    security = _security(access, settings)
    errors = {*operation.errors, *((401,) if security else ()), *((429,) if limited else ())}
    if access is Access.KEY and security:
        errors.add(403)
    content = _content(operation.answer)
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": security,
        "responses": {
            "200": success(operation.summary, content, limited=limited, timed=operation.path in TIMED),
            **error_references(errors),
        },
    }
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.body is not None:
        described["requestBody"] = operation.body
    return described


def _has_limits(settings: Settings) -> bool:
    return settings.api_keys is not None or settings.rate_per_s > 0 or settings.quota_per_day > 0


def _security(access: Access, settings: Settings) -> list[dict[str, list[str]]]:
    """Any one of these lets a request through; none is asked for where the list is empty."""
    if access is Access.ADMIN:
        return [{"AdminToken": []}]
    if access is Access.METRICS and settings.metrics_token is not None:
        return [{"MetricsToken": []}]
    if access is Access.KEY and settings.api_keys is not None:
        return [{"ApiKey": []}, {"BearerKey": []}]
    return []


def _content(answer: type[BaseModel] | str) -> dict[str, Any]:
    if not isinstance(answer, str):
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}}
    if answer == "application/json":
        return {answer: {"schema": {"type": "object"}}}
    return {answer: {"schema": {"type": "string"} if answer.startswith("text/") else {}}}


def _schemas(all_operations: Iterable[Operation]) -> dict[str, Any]:
    """The components of all models by their names."""
    models: dict[type[BaseModel], Any] = dict.fromkeys(REQUESTS, "validation")
    for operation in all_operations:
        if not isinstance(operation.answer, str):
            models[operation.answer] = "serialization"
    models[ErrorResponse] = "serialization"
    _, schemas = models_json_schema(list(models.items()), ref_template="#/components/schemas/{model}")
    components: dict[str, Any] = schemas["$defs"]
    return components
