"""blocks.validate."""

from typing import Any

from slack_interface.local_workspace.block_rules import check_blocks
from slack_interface.local_workspace.config import Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.rules import check_view
from slack_interface.local_workspace.web_api.registry import Call, method

KINDS = ("blocks", "message", "view")


@method("blocks.validate", tier=4)
def validate(call: Call) -> Json:
    """Check exactly one of blocks, message or view; the errors point at what is wrong."""
    given = [kind for kind in KINDS if call.args.get(kind)]
    if len(given) != 1:
        problem = "[ERROR] provide exactly one of blocks, message or view"
        raise SlackError("invalid_arguments", messages=[problem])
    kind = given[0]
    faults = _faults(kind, call.json(kind))
    if faults:
        raise _Invalid(f"invalid_{kind}", faults)
    return {}


def _faults(kind: str, value: Any) -> list[str]:
    if kind == "blocks":
        return check_blocks(value, "message", "")
    if kind == "message":
        blocks = value.get("blocks", []) if isinstance(value, dict) else value
        return check_blocks(blocks, "message")
    surface = "home" if isinstance(value, dict) and value.get("type") == "home" else "modal"
    try:
        check_view(value, "home" if surface == "home" else "modal")
    except SlackError as problem:
        return problem.messages
    return []


class _Invalid(SlackError):
    """The errors in the form blocks.validate gives them: pointer, code, message."""

    def __init__(self, code: str, faults: list[str]) -> None:
        super().__init__(code)
        self._faults = faults

    def body(self) -> dict[str, Any]:
        return {**super().body(), "errors": [_as_error(fault) for fault in self._faults]}


def _as_error(fault: str) -> Json:
    text, _, pointer = fault.removeprefix("[ERROR] ").partition(" [json-pointer:")
    return {"pointer": pointer.removesuffix("]"), "code": "failed_constraint", "message": text}
