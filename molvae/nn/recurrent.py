"""A gated recurrent unit whose matrix products follow autocast.

``torch.nn.GRU`` runs in float32 on CPUs whatever the autocast setting. Here the products run in the autocast type (on CPUs with AVX-512 BF16
they are 4-5 times faster), the state stays in float32, and the backward pass sums the weight gradient over all steps in one product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class GRULayer(nn.Module):
    """One GRU layer (Cho et al. 2014, in cuDNN's form). x (B, T, I), extra (B, 3H) added to all gates, state (B, H) -> (B, T, H)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.from_input = nn.Linear(inputs, 3 * hidden)
        self.from_state = nn.Linear(hidden, 3 * hidden)
        with torch.no_grad():
            for k in range(3):
                nn.init.orthogonal_(self.from_state.weight[k * hidden : (k + 1) * hidden])

    def cell(self, gates: Tensor, state: Tensor) -> Tensor:
        """gates (B, 3H) from the input, state (B, H) -> next state (B, H)."""
        r_x, u_x, n_x = gates.float().chunk(3, dim=-1)
        r_h, u_h, n_h = self.from_state(state).float().chunk(3, dim=-1)
        update = torch.sigmoid(u_x + u_h)
        new = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
        return new + update * (state - new)

    def forward(self, x: Tensor, state: Tensor, extra: Tensor | None = None) -> Tensor:
        gates = self.from_input(x)
        if extra is not None:
            gates = gates + extra.unsqueeze(1)
        kind = x.device.type
        product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        unroll: Callable[..., Tensor] = _Unroll.apply
        return unroll(gates, state, self.from_state.weight, self.from_state.bias, product)


class _Unroll(torch.autograd.Function):
    """All steps of one layer: gates (B, T, 3H), state (B, H), weight (3H, H), bias (3H,), product type -> states (B, T, H)."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, state: Tensor, weight: Tensor, bias: Tensor, product: torch.dtype) -> Tensor:
        w = weight.to(product)
        exact = weight.dtype
        kept: list[tuple[Tensor, ...]] = []
        with torch.autocast(gates.device.type, enabled=False):
            for gate in gates.to(exact).unbind(1):
                hidden = torch.addmm(bias.to(product), state.to(product), w.T).to(exact)
                first, r_h = gate.chunk(3, -1), hidden.chunk(3, -1)
                reset = torch.sigmoid(first[0] + r_h[0])
                update = torch.sigmoid(first[1] + r_h[1])
                new = torch.tanh(first[2] + reset * r_h[2])
                kept.append((state, reset, update, new, r_h[2]))
                state = new + update * (state - new)
        states = torch.stack([*(k[0] for k in kept[1:]), state], 1)
        ctx.kept, ctx.product, ctx.gates_type = kept, product, gates.dtype
        ctx.save_for_backward(weight)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        (weight,) = ctx.saved_tensors
        w = weight.to(ctx.product)
        arriving = upstream.unbind(1)
        carried = torch.zeros_like(arriving[0])
        by_input: list[Tensor] = []
        by_state: list[Tensor] = []
        for k in range(len(ctx.kept) - 1, -1, -1):
            before, reset, update, new, candidate = ctx.kept[k]
            d = arriving[k] + carried
            d_new = d * (1 - update) * (1 - new * new)
            d_update = d * (before - new) * update * (1 - update)
            d_reset = d_new * candidate * reset * (1 - reset)
            by_input.append(torch.cat([d_reset, d_update, d_new], -1))
            hidden = torch.cat([d_reset, d_update, d_new * reset], -1).to(ctx.product)
            by_state.append(hidden)
            carried = d * update + (hidden @ w).to(d.dtype)
        all_hidden = torch.cat(by_state)
        all_before = torch.cat([k[0] for k in reversed(ctx.kept)]).to(ctx.product)
        d_weight = (all_hidden.T @ all_before).to(weight.dtype)
        d_bias = all_hidden.sum(0, dtype=weight.dtype)
        return torch.stack(by_input[::-1], 1).to(ctx.gates_type), carried, d_weight, d_bias, None
