"""The message that announces a change (reference/config.md 2.2). It carries no truth: consumers read the row again."""

import json
from dataclasses import dataclass
from typing import Any

OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "UPDATE-IMPLICIT"})


class MessageError(ValueError):
    """A message that is set aside; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Message:
    """One change. `type` has underscores; `obj_dict` comes with CREATE and DELETE, `extra_dict` with some UPDATEs."""

    oper: str
    type: str
    uuid: str
    fq_name: tuple[str, ...] = ()
    request_id: str = ""
    obj_dict: dict[str, Any] | None = None
    extra_dict: dict[str, Any] | None = None

    def encode(self) -> bytes:
        """JSON in UTF-8."""
        value: dict[str, Any] = {
            "request-id": self.request_id,
            "oper": self.oper,
            "type": self.type,
            "uuid": self.uuid,
            "fq_name": list(self.fq_name),
        }
        if self.obj_dict is not None:
            value["obj_dict"] = self.obj_dict
        if self.extra_dict is not None:
            value["extra_dict"] = self.extra_dict
        return json.dumps(value).encode()

    @classmethod
    def decode(cls, body: bytes) -> "Message":
        """The message in `body`, or MessageError. What a control node checks is checked: oper, type, uuid, name."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MessageError("expected JSON in UTF-8") from error
        if not isinstance(value, dict):
            raise MessageError("expected an object")
        texts = {}
        for key in ("oper", "type", "uuid"):
            text = value.get(key)
            if not isinstance(text, str) or not text:
                raise MessageError(f"{key}: expected a text")
            texts[key] = text
        if texts["oper"] not in OPERATIONS:
            raise MessageError(f"oper: expected one of {', '.join(sorted(OPERATIONS))}")
        name = value.get("fq_name", [])
        if not isinstance(name, list) or not all(isinstance(part, str) for part in name):
            raise MessageError("fq_name: expected a list of texts")
        if not name and texts["oper"] in ("CREATE", "UPDATE"):
            raise MessageError("fq_name: expected at least one part")
        request_id = value.get("request-id")
        return cls(
            oper=texts["oper"],
            type=texts["type"].replace("-", "_"),
            uuid=texts["uuid"],
            fq_name=tuple(name),
            request_id=request_id if isinstance(request_id, str) else "",
            obj_dict=value["obj_dict"] if isinstance(value.get("obj_dict"), dict) else None,
            extra_dict=value["extra_dict"] if isinstance(value.get("extra_dict"), dict) else None,
        )
