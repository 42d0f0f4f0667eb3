"""Attention over the steps of a sequence, within one stock: with a learned context vector, and query-key-value.

Letters: T steps, N stocks, H hidden units, A attention units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.models.head import linear_layer
from alpha_pipeline.models.recurrent import active_backend


class ContextAttention(nn.Module):
    """States z (T, H, N) -> their weighted mean over steps o (N, H), weights from a learned context vector.

    The weights of a stock sum to one and depend on that stock alone.
    """

    def __init__(self, n_hidden: int, n_attention: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.project = linear_layer(n_hidden, n_attention, generator)
        bound = n_attention**-0.5
        self.context_A = nn.Parameter(torch.empty(n_attention).uniform_(-bound, bound, generator=generator))

    def weights(self, z_THN: Tensor) -> Tensor:
        """γ (T, N)."""
        u_TAN = torch.tanh(torch.matmul(self.project.weight, z_THN) + self.project.bias[:, None])
        importance_TN = torch.matmul(self.context_A, u_TAN)
        return torch.softmax(importance_TN, dim=0)

    def forward(self, z_THN: Tensor) -> Tensor:
        """o (N, H)."""
        gamma_TN = self.weights(z_THN)
        return (gamma_TN[:, None, :] * z_THN).sum(0).t()


class SelfAttention(nn.Module):
    """Sequences z (N, T, H) -> (N, T, H): softmax(Q Kᵀ / √d) V per head, the heads concatenated and, if there are several, mixed.

    No biases, as in the paper; that of the keys would add the same number to all weights of a query and could learn nothing. The T × T
    weights of a stock are not kept: torch's fused attention computes them again in the backward.

    Parameters
    ----------
    n_hidden
        H, a multiple of ``n_heads``.
    n_heads
        With one head there is no output matrix.

    Source: Vaswani et al. (2017), section 3.2.
    """

    def __init__(self, n_hidden: int, n_heads: int, *, generator: torch.Generator) -> None:
        super().__init__()
        if n_hidden % n_heads:
            raise InvalidSpec(sentence("the heads of the attention must be of equal size", where="SelfAttention",
                                       got=f"{n_hidden} units, {n_heads} heads", expected="a multiple",
                                       next_step="Change the number of heads or of units."))
        self.n_heads = n_heads
        self.query, self.key, self.value = (linear_layer(n_hidden, n_hidden, generator, bias=False) for _ in range(3))
        self.mix = linear_layer(n_hidden, n_hidden, generator, bias=False) if n_heads > 1 else None

    def forward(self, z_NTH: Tensor) -> Tensor:
        """What each step gathers from all steps, (N, T, H)."""
        query, key, value = (layer(z_NTH).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
                             for layer in (self.query, self.key, self.value))
        gathered_NTH = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(-2)
        return gathered_NTH if self.mix is None else self.mix(gathered_NTH)

    def mean_over_steps(self, z_THN: Tensor) -> Tensor:
        """Mean over the steps of :meth:`forward`, (N, H), from states as a recurrent layer returns them.

        One head. On the CPU where numba is installed it takes a kernel of its own: the mean over the queries is a weighted mean of the
        states, so that neither the T × T weights nor the outputs of the steps are ever written.
        """
        if self._is_fused(z_THN):
            from alpha_pipeline.models.recurrent.fused_attention import fused_summary

            return self.value(fused_summary(z_THN, self.query.weight, self.key.weight, self.value.weight, False).t())
        gathered_NTH: Tensor = self(z_THN.permute(2, 0, 1))
        return gathered_NTH.mean(1)

    def mean_of_normalized_sums(self, z_THN: Tensor, norm: nn.LayerNorm) -> Tensor:
        """Mean over the steps of ``norm(z + forward(z))``, (N, H); one head, paths as for :meth:`mean_over_steps`."""
        if self._is_fused(z_THN) and norm.eps == 1e-5:
            from alpha_pipeline.models.recurrent.fused_attention import fused_summary

            mean_NH = fused_summary(z_THN, self.query.weight, self.key.weight, self.value.weight, True).t()
        else:
            z_NTH = z_THN.permute(2, 0, 1)
            mean_NH = layer_norm(z_NTH + self(z_NTH), norm.normalized_shape, eps=norm.eps).mean(1)
        return norm.bias + mean_NH * norm.weight

    def _is_fused(self, z_THN: Tensor) -> bool:
        return self.n_heads == 1 and active_backend(z_THN.device, z_THN.dtype) == "fused"
