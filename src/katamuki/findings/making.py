"""One finding from its code, severity and values; the sentences are those of the catalogue."""

from __future__ import annotations

from typing import Any

from katamuki import messages
from katamuki.records import Finding, Severity


def finding(
    code: str, severity: Severity, variant: str | None = None, parameter: str | None = None, **values: Any
) -> Finding:
    """The finding whose sentence is ``finding.CODE``, or ``finding.CODE.variant``, filled with the values."""
    key = f"finding.{code}.{variant}" if variant else f"finding.{code}"
    if variant:
        values["variant"] = variant
    remedy = messages.optional(f"{key}.remedy", **values) or messages.optional(f"finding.{code}.remedy", **values)
    return Finding(code, severity, parameter, values, messages.sentence(key, **values), remedy)
