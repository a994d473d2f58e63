# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What every section of the settings has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


def refuse_bool_for_number(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Raise for true and false where a number is expected: Python counts them as 1 and 0."""
    field = cls.model_fields.get(info.field_name or "")
    if isinstance(value, bool) and field is not None and field.annotation is not bool:
        raise ValueError("neither true nor false is allowed here")
    return value


class Section(BaseModel):
    """A table of the settings file; it rejects unknown names and is immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _numbers = field_validator("*", mode="before")(classmethod(refuse_bool_for_number))
