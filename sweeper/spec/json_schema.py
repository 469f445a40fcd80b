"""What may a specification say, for an editor? A JSON Schema (draft 7), made of the settings' own fields.

Dotted and nested names may be mixed anywhere, so each group lists all that is below it. What the values say
together, a condition or a constraint, no schema says: `check` does.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sweeper.spec.dimensions import KINDS
from sweeper.spec.load import EXTENDS
from sweeper.spec.reading import MADE, READ_HERE
from sweeper.spec.sections import SECTIONS
from sweeper.spec.spec import SweepSpec
from sweeper.spec.trainer_keys import NOT_SEARCHED
from sweeper.strategies.samplers import SAMPLERS
from trainer.config.names import SHORT, Names, names_of, train_names
from trainer.metrics import ALSO_SEARCHED, RANKABLE
from trainer.values import kinds

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Of a whole specification."""
    trainer = train_names()
    shared: dict[str, Schema] = {}
    runs = _leaves(trainer)
    searched = [name for name in trainer.leaves if name.split(".")[0] not in NOT_SEARCHED]
    dimension = {"anyOf": [_model(kind) for kind in KINDS.values()]}
    shared["dimension"] = {**dimension, "description": "{choice: [...]}, or a range [low, high]"}
    run = _group(runs, "run", shared)
    space = _group({name: {"$ref": "#/definitions/dimension"} for name in searched}, "space", shared)
    entries = {"type": "array", "items": run}
    leaves = {
        **_own(),
        "search.points": entries,
        "always": entries,
        "constraints": {"type": "array", "items": {"type": "string"}},
        "variants": {"type": "object"},
        EXTENDS: {"type": "string", "description": "Another file; what is said here goes over it."},
    }
    top = _group(leaves, "sweep", shared)
    known = shared.pop("sweep")
    known["properties"] |= {"trainer": run, "space": space}
    for word, group in (("trainer", "run"), ("space", "space")):
        below = shared[group]["properties"]
        known["properties"] |= {f"{word}.{name}": schema for name, schema in below.items()}
    assert top == {"$ref": "#/definitions/sweep"}
    del known["additionalProperties"]  # variants may be chosen by names of their own
    only = {"propertyNames": {"enum": sorted(known["properties"])}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A sweep of bd3lm-sweep",
        **known,
        "if": {"not": {"required": ["variants"]}},
        "then": only,
        "definitions": shared,
    }


def _own() -> dict[str, Schema]:
    """What no trainer knows: the sweep's own fields, by dotted name."""
    found: dict[str, Schema] = {}
    for name, field in SweepSpec.model_fields.items():
        word = field.alias or name
        if word in (*READ_HERE, *MADE, "metric", "text", "early_stopping"):
            continue
        if word in SECTIONS:
            found |= {f"{word}.{leaf}": schema for leaf, schema in _leaves(names_of(SECTIONS[word])).items()}
        else:
            found[word] = _model(SweepSpec)["properties"][word]
    one = {"enum": list(RANKABLE)}
    also = {"enum": [*RANKABLE, *ALSO_SEARCHED]}
    found["metric"] = {
        "anyOf": [one, {"type": "array", "items": also, "minItems": 1}],
        "description": "What ranks; in a list, what else is searched on.",
    }
    found["search.sampler"] = {"enum": list(SAMPLERS), "description": "How configurations are proposed."}
    pruners = kinds(SweepSpec.model_fields["early_stopping"].annotation)
    found["early_stopping"] = {"anyOf": [_model(pruner) for pruner in pruners], "description": "A pruner."}
    return found


def _leaves(names: Names) -> dict[str, Schema]:
    """A schema for each of the dotted names; of a union's `name`, its kinds."""
    found: dict[str, Schema] = {}
    for name, kinds_of in names.leaves.items():
        if name in names.kinds:
            found[name] = {"enum": list(names.kinds[name])}
            continue
        distinct: list[Schema] = []
        for owner, word in names.owners[name]:
            schema: Schema = _model(owner)["properties"][word]
            distinct += [schema] if schema not in distinct else []
        found[name] = dict(distinct[0]) if len(distinct) == 1 else {"anyOf": distinct}
        words = names.infos[name].description or ""
        if said := " ".join(filter(None, [words, f"({', '.join(kinds_of)})" if kinds_of else ""])):
            found[name]["description"] = said
    return found


def _group(leaves: Mapping[str, Schema], group: str, shared: dict[str, Schema]) -> Schema:
    """A reference to an object of these leaves, by all ways of writing them: dotted, nested, and mixed."""
    properties: dict[str, Schema] = {}
    below: dict[str, dict[str, Schema]] = defaultdict(dict)
    for name, schema in leaves.items():
        properties[name] = schema
        words = name.split(".")
        for i in range(1, len(words)):
            below[".".join(words[:i])][".".join(words[i:])] = schema
    for inner, theirs in below.items():
        reference = _group(theirs, f"{group}.{inner}", shared)
        chosen = theirs.get("name", {}).get("enum", [])
        by_a_word = inner in SHORT and chosen
        properties[inner] = {"anyOf": [reference, {"enum": chosen}]} if by_a_word else reference
    shared[group] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"$ref": f"#/definitions/{group}"}


class _Lenient(GenerateJsonSchema):
    """What a validator reads before pydantic does: a value in the place of a list, a word ('1%') in that of a
    number."""

    def function_before_schema(self, schema: Any) -> Schema:
        inner = super().function_before_schema(schema)
        if "$ref" in inner or inner.get("type") == "object":
            return inner
        return {"anyOf": [inner, inner.get("items") or {"type": "string"}]}


def _model(settings: type[BaseModel]) -> Schema:
    """Of a class that is written as one group. What it refers to stands within."""
    schema = settings.model_json_schema(schema_generator=_Lenient)
    inner = schema.pop("$defs", {})
    filled: Schema = _filled(schema, inner)
    if "name" in settings.model_fields and "name" in filled["properties"]:
        filled["required"] = sorted({*filled.get("required", []), "name"})
    return filled


def _filled(schema: Any, inner: Mapping[str, Schema]) -> Any:
    """Without references and titles."""
    if isinstance(schema, list):
        return [_filled(each, inner) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _filled(inner[schema["$ref"].rpartition("/")[2]], inner)
    return {
        key: _filled(each, inner)
        for key, each in schema.items()
        if not (key == "title" and isinstance(each, str)) and key != "discriminator"
    }
