"""Position at the input: token vector and position vector made into one, before the first layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import INITIAL_STD, Code, draw_normal
from locant.encodings.native import functions as kernels
from locant.encodings.once import eager


def check_width(tokens: Tensor, width: int) -> None:
    """Raises ValueError if the token vectors have another number of columns than the encoding was made for."""
    if tokens.shape[-1] != width:
        wanted = f"expected tokens of {width} columns (in a sum, concat comes after what keeps the width)"
        raise ValueError(f"{wanted}, was: {tokens.shape[-1]}")


def align(tokens: Tensor, code: Tensor) -> Tensor:
    """The position vectors with the batch shape and dtype of the token vectors."""
    return code.to(tokens.dtype).expand(*tokens.shape[:-1], code.shape[-1])


def scaled(code: Tensor, scale: float) -> Tensor:
    """``scale`` times the position vectors, which are left alone if that changes nothing."""
    return code if scale == 1.0 else code * scale


class Add(PositionalEncoding):
    """``h_i = x_i + s p_i``: the sum of token vector and position vector, with a fixed scale ``s``.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.4 and 3.5. Differs: they bring the tokens up to the
    position vectors (times ``sqrt(width)``), which is the caller's business here; only the ratio matters.
    Limit: that of the code.  Shift-invariant: no.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.scale = scale
        self.limit = code.limit

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.code.width)
        return tokens + scaled(self.code(positions), self.scale).to(tokens.dtype)

    def look_up(self, table: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(table, self.code.width)
        code = scaled(self.code(positions), self.scale).to(table.dtype)
        if (found := kernels.looked_up(table, tokens, code, concatenate=False)) is not None:
            return found
        x = F.embedding(tokens, table)
        return x.add_(code) if eager() and not torch.is_grad_enabled() else x + code


class ScaledAdd(PositionalEncoding):
    """``h_i = x_i + g p_i`` with one learned number ``g``, which starts at ``initial``.

    What ``g`` becomes tells how much position a model wants in the sum.
    Source: Li et al. 2019, arXiv:1809.08895, section 3.2, equation 1, where ``g`` is ``alpha`` and starts at 1.
    Limit: that of the code.  Shift-invariant: no.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, initial: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.initial = initial
        self.gain = nn.Parameter(torch.empty(()))
        self.limit = code.limit
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        nn.init.constant_(self.gain, self.initial)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.code.width)
        return tokens + (self.code(positions) * self.gain).to(tokens.dtype)


class MatchedAdd(PositionalEncoding):
    """``h_i = x_i + s rms(x_i) p_i / rms(p_i)``: the sum, with position always ``s`` times as large as its token.

    ``rms`` is the root mean square of a vector's columns. Gradients flow through both of them, so a token cannot grow
    out of the reach of its position. A position vector far below 1e-6 in size counts as none.
    Source: ours, for the ratio of sizes that Vaswani et al. 2017, arXiv:1706.03762, section 3.4, fix at the start.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if code and tokens differ in width.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.scale = scale
        self.limit = code.limit

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.code.width)
        precise = torch.promote_types(tokens.dtype, torch.float32)
        # The norm has a gradient at a token of zeros, unlike the root of a mean.
        norm = torch.linalg.vector_norm(tokens, dim=-1, keepdim=True, dtype=precise)
        unit = F.rms_norm(self.code(positions).to(precise), (self.code.width,), eps=1e-12)
        return tokens + (self.scale * self.code.width**-0.5 * norm * unit).to(tokens.dtype)


class Concat(PositionalEncoding):
    """``h_i = [x_i ; s p_i]``: position in columns of its own at the input. Every layer reads and writes all columns.

    A wide concatenation equals the sum of zero-padded tables; what differs is the width that it costs, that the two
    start orthogonal, and their scale.
    Source: folklore; with Fourier features Jaegle et al. 2021, arXiv:2103.03206, section 3.2. Differs: nothing.
    Limit: that of the code.  Shift-invariant: no.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.scale = scale
        self.extra_width = code.width
        self.limit = code.limit

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return torch.cat([tokens, align(tokens, scaled(self.code(positions), self.scale))], dim=-1)

    def look_up(self, table: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        code = scaled(self.code(positions), self.scale).to(table.dtype)
        if (found := kernels.looked_up(table, tokens, code, concatenate=True)) is not None:
            return found
        if torch.is_grad_enabled() or not eager():
            x = F.embedding(tokens, table)
            return torch.cat([x, align(x, code)], dim=-1)
        width = table.shape[-1]
        out = table.new_empty(*tokens.shape, width + self.code.width)
        # Rows of the table go straight to where they stay; a concatenation would move them once more.
        torch.index_select(table, 0, tokens.reshape(-1), out=out.flatten(0, -2)[:, :width])
        out[..., width:] = code
        return out


class ConcatProject(PositionalEncoding):
    """``h_i = W [x_i ; s p_i] = W_x x_i + s W_p p_i``: concatenated, then brought back to the token's width.

    It is a sum of projected tables, with learned codes the same class of functions as ``Add``. ``W`` starts as
    ``[I , normal]``, so that training starts from the plain token vector plus a random projection of the code.
    Source: compared in "Fusion Matters", 2026, arXiv:2601.05807. Differs: the start (theirs is uniform throughout).
    Limit: that of the code.  Shift-invariant: no.
    """

    shift_invariant = False

    def __init__(self, code: Code, width: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.width = width
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(width, width + code.width))
        self.limit = code.limit
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        with torch.no_grad():
            self.weight[:, : self.width].copy_(torch.eye(self.width))
            draw_normal(self.weight[:, self.width :], self.code.width**-0.5, generator)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.width)
        both = torch.cat([tokens, align(tokens, self.code(positions) * self.scale)], dim=-1)
        # Autocast would project in bfloat16 and leave the stream there, which all other inputs keep as it is.
        return F.linear(both, self.weight).to(tokens.dtype)


class Gate(PositionalEncoding):
    """``h_i = g_i x_i + (1 - g_i) s p_i`` with ``g_i = sigmoid(w . [x_i ; s p_i] + b)``: a learned mixture per token.

    Starts at ``w`` near 0 and ``b = 0``: the mean of the two.
    Source: Gate-Scalar of "Fusion Matters", 2026, arXiv:2601.05807. Differs: nothing.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if code and tokens differ in width.
    """

    shift_invariant = False

    def __init__(self, code: Code, width: int, *, scale: float = 1.0) -> None:
        super().__init__()
        if code.width != width:
            raise ValueError(f"expected a code as wide as the tokens ({width}), was: {code.width}")
        self.code = code
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(2 * width))
        self.bias = nn.Parameter(torch.empty(()))
        self.limit = code.limit
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, INITIAL_STD, generator)
        nn.init.zeros_(self.bias)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.code.width)
        code = align(tokens, self.code(positions) * self.scale)
        gate = torch.sigmoid(torch.cat([tokens, code], dim=-1) @ self.weight + self.bias)[..., None]
        return gate * tokens + (1 - gate) * code


class Beside(PositionalEncoding):
    """Position in columns ``z_i`` that every projection of every layer reads and none writes.

    A projection of ``[x ; z]`` is ``W_x x + W_z z``, and as ``z`` never changes ``W_z z`` is computed once per
    position, not once per token of the batch. The reader normalises ``x`` and ``z`` apart (a common norm would mix
    them) and the output head reads ``x`` alone. It equals a low-rank bias per position, layer and projection.
    Source: ours; nearest is the separate stream of arXiv:2605.30022.
    Limit: that of the code.  Shift-invariant: no.
    """

    shift_invariant = False

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code
        self.beside_width = code.width
        self.limit = code.limit

    def beside(self, positions: Tensor) -> Tensor:
        columns: Tensor = self.code(positions)
        return columns
