"""Position put into the stream again at the entry of every layer."""

from torch import Tensor

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import Code
from locant.encodings.inputs import check_width


class Inject(PositionalEncoding):
    """``x_i <- x_i + s p_i`` at the entry of every layer: no layer has to pass position on to the next.

    Source: Dehghani et al. 2018 (Universal Transformer), arXiv:1807.03819, section 2.1. Differs: no vector for the
    layer is added; ``per_layer(inject(a), inject(b))`` gives layers vectors of their own.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if code and stream differ in width.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.scale = scale
        self.limit = code.limit

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        check_width(x, self.code.width)
        return x + (self.code(positions) * self.scale).to(x.dtype)
