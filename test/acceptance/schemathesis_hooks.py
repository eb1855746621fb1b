"""Puts the name of the model where a made-up one stands, so that requests come as far as vectors."""

from typing import Any

import schemathesis

MODEL = "all-MiniLM-L6-v2"


@schemathesis.hook
def map_body(_: schemathesis.HookContext, body: Any) -> Any:
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        return {**body, "model": MODEL}
    return body


@schemathesis.hook
def map_path_parameters(_: schemathesis.HookContext, parameters: Any) -> Any:
    if isinstance(parameters, dict) and "model" in parameters:
        return {**parameters, "model": MODEL}
    return parameters
