# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The syntax tree of a compiled condition, as far as it is looked at: CEL's own `cel.expr.CheckedExpr`.

CEL's library gives out a compiled expression as such a message and brings no classes for it; the few fields that are
needed are declared here by their numbers (cel-spec, proto/cel/expr/syntax.proto and checked.proto).
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import (  # type: ignore[import-untyped]
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

_STRING, _BOOL, _MESSAGE, _INT64, _INT32 = 9, 8, 11, 3, 5
_PACKAGE: Final = "appliance.delivery.syntax"
_MESSAGES: Final[dict[str, tuple[tuple[str, int, int | str, bool], ...]]] = {
    # name, number, type, repeated
    "Constant": (("string_value", 6, _STRING, False),),
    "Ident": (("name", 1, _STRING, False),),
    "Select": (("operand", 1, "Expr", False), ("field", 2, _STRING, False)),
    "Call": (("target", 1, "Expr", False), ("function", 2, _STRING, False), ("args", 3, "Expr", True)),
    "List": (("elements", 1, "Expr", True),),
    "Comprehension": (
        ("iter_var", 1, _STRING, False),
        ("iter_range", 2, "Expr", False),
        ("accu_var", 3, _STRING, False),
        ("accu_init", 4, "Expr", False),
        ("loop_condition", 5, "Expr", False),
        ("loop_step", 6, "Expr", False),
        ("result", 7, "Expr", False),
    ),
    "Expr": (
        ("id", 2, _INT64, False),
        ("const_expr", 3, "Constant", False),
        ("ident_expr", 4, "Ident", False),
        ("select_expr", 5, "Select", False),
        ("call_expr", 6, "Call", False),
        ("list_expr", 7, "List", False),
        ("comprehension_expr", 9, "Comprehension", False),
    ),
    "Position": (("key", 1, _INT64, False), ("value", 2, _INT32, False)),
    "SourceInfo": (("positions", 4, "Position", True),),
    "CheckedExpr": (("expr", 4, "Expr", False), ("source_info", 5, "SourceInfo", False)),
}


def _checked_expr() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="appliance/delivery/syntax.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            made = message.field.add(name=field, number=number, label=3 if repeated else 1)
            made.type = _MESSAGE if isinstance(kind, str) else kind
            if isinstance(kind, str):
                made.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


_CheckedExpr: Final = _checked_expr()


def parse_tree(serialized: bytes) -> tuple[Any, dict[int, int]]:
    """Return the root of a serialized expression, and where in the text each node begins, by its `id`."""
    packed = any_pb2.Any.FromString(serialized)
    checked = _CheckedExpr.FromString(packed.value)
    return checked.expr, {one.key: one.value for one in checked.source_info.positions}
