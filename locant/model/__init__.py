"""A small transformer that takes any positional encoding: the instrument of the comparisons.

The functions ``decoder`` and ``generate`` are ``locant.decoder`` and ``locant.generate``; here their names are modules.
"""

from locant.model.cache import Cache
from locant.model.call import causal_attention
from locant.model.decoder import Decoder

__all__ = ["Cache", "Decoder", "causal_attention"]
