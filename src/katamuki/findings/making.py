"""One finding from its code, severity and values; the sentences are those of the catalogue."""

from __future__ import annotations

from typing import Any

from katamuki import messages
from katamuki.records import Finding, Severity
from katamuki.report.printed import remedy_keys


def finding(
    code: str, severity: Severity, variant: str | None = None, parameter: str | None = None, **values: Any
) -> Finding:
    """The finding whose sentence is ``finding.CODE``, or ``finding.CODE.variant``, filled with the values.

    Its remedy is that of the sentence, or of the key in a value ``advice``, which several findings may share.
    """
    key = f"finding.{code}.{variant}" if variant else f"finding.{code}"
    if variant:
        values["variant"] = variant
    remedies = (messages.optional(f"{one}.remedy", **values) for one in remedy_keys(code, values))
    remedy = next((one for one in remedies if one is not None), None)
    return Finding(code, severity, parameter, values, messages.sentence(key, **values), remedy)
