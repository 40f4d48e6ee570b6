"""Whether a run that was found, in a folder or in a study, was made by the plan that is asked for now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def plain(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as it comes back from JSON."""
    read: dict[str, Any] = json.loads(json.dumps(plan, sort_keys=True))
    return read


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What two plain plans disagree about, in words; "" where they agree."""
    keys = sorted(key for key in {*there, *here} if there.get(key) != here.get(key))
    return "; ".join(f"{key}: {there.get(key)} there, {here.get(key)} here" for key in keys)
