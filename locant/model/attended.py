"""What attention makes of queries, keys and values with everything that an encoding does to it."""

from torch import Tensor

from locant.encodings import Pairs, PositionalEncoding
from locant.model.attend import Attend, Visibility
from locant.model.blocks import Later, blocks


def attended(encoding: PositionalEncoding, attend: Attend, pairs: Pairs, v: Tensor, see: Visibility) -> Tensor:
    """``output(attend(pairs, v))`` ``[batch, head, query, columns]``, with the encoding's ``score_mod`` and ``read``.

    pairs, v: after ``qk`` and ``values``.
    """
    later = attend is blocks and (encoding.by_distance or encoding.by_position)
    mod = Later(encoding, pairs) if later else encoding.score_mod(pairs)
    out = attend(pairs, v, see, mod, encoding.read if encoding.reads_weights else None)
    return encoding.output(out, pairs.q_positions)
