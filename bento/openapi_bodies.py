"""The models of request bodies in, their JSON Schemas as a client has to send them out: as JSON and as a form.

A form holds texts, so its numbers are written out and its `filters` are a JSON text; JSON has numbers and objects, and
null for what is not given. What comes from where is the models' own schema; only what no model says is added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from bento.requests import SOURCES
from bento.schemas import SearchOptions, TextOptions
from index_builder.filters import BOUNDS, MAX_CHARACTERS, MAX_COLUMNS, MAX_VALUES

JSON = "application/json"
FORM = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
MAX_ID = 256
WITH_BOX = ("image", "url")  # sources that bring a photo whose part can be marked

Schema = dict[str, Any]

_TITLES = {
    "image": "by an uploaded photo",
    "url": "by the address of a photo",
    "product_id": "by a product of the gallery",
    "query_id": "by the vectors of an earlier photo, which are kept some minutes",
}
_SIXTH = "[A-Za-z0-9+/]"  # six bits of base64
_NUMBER = r" *-?[0-9]+(\.[0-9]+)? *"
_SAID = {
    "image": {
        "type": "string",
        "contentMediaType": "application/octet-stream",  # how OpenAPI 3.1 says `format: binary`
        "description": "the photo's bytes; its media type is not looked at",
    },
    "url": {
        "format": "uri",
        "pattern": r"^$|^[Hh][Tt][Tt][Pp][Ss]?://[^/@\s]+",
        "description": "http or https, of a public address",
    },
    "box": {"pattern": f"^({_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER})?$", "example": "10,20,200,180"},
}
_VALUE: Schema = {"anyOf": [{"type": "string", "maxLength": MAX_CHARACTERS}, {"type": "number"}]}

FILTERS: Schema = {
    "title": "Filters",
    "description": "Only products that match all columns are hits. A column is one of the catalog's, an attribute, or "
    "`category`; a list asks for one of its values, bounds for a number between them.",
    "type": "object",
    "maxProperties": MAX_COLUMNS,
    "propertyNames": {"maxLength": MAX_CHARACTERS},
    "additionalProperties": {
        "anyOf": [
            *_VALUE["anyOf"],
            {"type": "array", "items": _VALUE, "minItems": 1, "maxItems": MAX_VALUES},
            {
                "type": "object",
                "properties": {bound: {"type": "number"} for bound in BOUNDS},
                "additionalProperties": False,
                "minProperties": 1,
            },
        ]
    },
    "examples": [{"price": {"lte": 20}, "category": ["Bags", "Shoes"]}],
}
_FILTERS_AS_TEXT: Schema = {
    "type": "string",
    "contentMediaType": JSON,
    "contentSchema": {"$ref": "#/components/schemas/Filters"},
    "description": "JSON, as Filters",
    "example": '{"price": {"lte": 20}}',
}


def search_body() -> Schema:
    """The request body of POST /search: exactly one of the sources, and options."""
    form, json = _form_fields(SearchOptions), _json_fields(SearchOptions)
    contents = {
        FORM: _of_one_source({"image": _SAID["image"], **form}, empty={"maxLength": 0}),
        JSON: _of_one_source(json, empty={"enum": [None, ""]}),
        URLENCODED: _of_one_source(form, empty={"maxLength": 0}),
    }
    return _body(contents)


def text_body() -> Schema:
    """The request body of POST /search/text."""
    form = _object(_form_fields(TextOptions), required=["query"])
    return _body({JSON: _object(_json_fields(TextOptions), required=["query"]), FORM: form, URLENCODED: form})


def invocation_body() -> Schema:
    """The request body of POST /invocations: an operation with its fields, or a photo."""
    image = {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": f"^({_SIXTH}{{4}})*({_SIXTH}{{4}}|{_SIXTH}{{3}}=|{_SIXTH}{{2}}==)$",
    }
    search = _of_one_source({"image": image, **_json_fields(SearchOptions)}, empty={"enum": [None, ""]})
    search["properties"]["operation"] = {"const": "search"}
    words = {"operation": {"const": "search_text"}, **_json_fields(TextOptions)}
    product: Schema = {
        "operation": {"enum": ["product", "picture"]},
        "product_id": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
    }
    envelope = [
        search,
        _object(words, required=["operation", "query"]),
        _object(product, required=list(product)),
        _object({"operation": {"enum": ["gallery", "categories"]}}, required=["operation"]),
    ]
    body = _body({JSON: {"anyOf": envelope}})
    body["content"]["image/*"] = {}  # bytes of any kind; OpenAPI 3.1 has no schema for them
    return body


def json_body(model: type[BaseModel], *, required: bool) -> Schema:
    """A body that is a model's JSON and nothing else."""
    return {**_body({JSON: {"$ref": f"#/components/schemas/{model.__name__}"}}), "required": required}


def _body(contents: Mapping[str, Schema]) -> Schema:
    return {"required": True, "content": {kind: {"schema": schema} for kind, schema in contents.items()}}


def _of_one_source(fields: Mapping[str, Schema], *, empty: Schema) -> Schema:
    """A body with exactly one source; the others, and a box without a photo, may only be there as `empty`."""
    sources = [source for source in SOURCES if source in fields]
    ways = []
    for source in sources:
        left_out = {*sources, "box"} - {source} - ({"box"} if source in WITH_BOX else set())
        given: Schema = {} if source == "image" else {source: {"type": "string", "minLength": 1}}
        properties = given | dict.fromkeys(sorted(left_out - {"image"}), empty)
        if "image" in left_out:
            properties["image"] = False
        ways.append({"title": _TITLES[source], "required": [source], "properties": properties})
    return {**_object(fields, required=[]), "oneOf": ways}


def _object(properties: Mapping[str, Schema], *, required: list[str]) -> Schema:
    named = {"required": required} if required else {}
    return {"type": "object", "properties": dict(properties), **named, "additionalProperties": False}


def _json_fields(model: type[BaseModel]) -> dict[str, Schema]:
    """The fields of a model as JSON values; null where a field may be left out."""
    fields = {}
    for name, schema in _fields(model).items():
        optional = not model.model_fields[name].is_required()
        kinds = [{"$ref": "#/components/schemas/Filters"}, _FILTERS_AS_TEXT] if name == "filters" else schema["anyOf"]
        if not optional and len(kinds) == 1:
            fields[name] = {**schema, **kinds[0], "minLength": 1}
            del fields[name]["anyOf"]
        else:
            fields[name] = {**schema, "anyOf": [*kinds, *([{"type": "null"}] if optional else [])]}
    return fields


def _form_fields(model: type[BaseModel]) -> dict[str, Schema]:
    """The fields of a model as a form has them, where an empty one counts as not given."""
    fields = {}
    for name, schema in _fields(model).items():
        kind = _FILTERS_AS_TEXT if name == "filters" else schema["anyOf"][0]
        plain = {**{key: said for key, said in schema.items() if key != "anyOf"}, **kind}
        fields[name] = plain if not model.model_fields[name].is_required() else {**plain, "minLength": 1}
    return fields


def _fields(model: type[BaseModel]) -> dict[str, Schema]:
    """Each field's schema with its kinds under `anyOf`, without null, references and titles."""
    whole = model.model_json_schema()
    fields = {}
    for name, schema in whole["properties"].items():
        kinds = schema.pop("anyOf", None) or [_only_kind(schema)]
        kinds = [_resolved(kind, whole.get("$defs", {})) for kind in kinds if kind.get("type") != "null"]
        about = {key: schema[key] for key in ("description", "default") if schema.get(key) is not None}
        fields[name] = {**about, "anyOf": [{**kind, **_SAID.get(name, {})} for kind in kinds]}
    return fields


def _only_kind(schema: Schema) -> Schema:
    return {key: said for key, said in schema.items() if key not in ("title", "default", "description")}


def _resolved(kind: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" not in kind:
        return kind
    return {key: said for key, said in definitions[kind["$ref"].rsplit("/", 1)[-1]].items() if key != "title"}
