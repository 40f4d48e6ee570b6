"""Where matrix products may run in bfloat16: on hardware that multiplies in it, which is faster there and slower elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def computes_in_bfloat16(kind: str) -> bool:
    """Whether devices of this kind ("cpu", "cuda") multiply in bfloat16 by instructions of their own."""
    if kind == "cuda":
        return True
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return kind == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def quick(device: torch.device) -> AbstractContextManager[object]:
    """Products in bfloat16 within, where the hardware has it; elsewhere nothing changes. For draws and losses, which are noisy by themselves."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bfloat16(device.type))
