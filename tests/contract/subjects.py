"""Every encoding of the catalogue and combinations of them, as subjects of the contract."""

from contract.foreign import FOREIGN
from support import named

from locant.encodings import catalogue

COMBINATIONS = [
    "add(random)",
    "add(learned) + rotary",
    "per_layer(rotary, none) + t5",
    "per_layer(alibi + rotary, beside(sinusoidal, width=4), t5)",
    "beside(learned, width=6) + rotary",
    "concat(fourier) + alibi",
    "concat(sinusoidal, width=4) + concat(learned, width=3) + t5(buckets=8, max_distance=16)",
    "rotary(layout=interleaved)",
    "rotary(fraction=0.5)",
    "add(sinusoidal(layout=halves), scale=0.5)",
    "concat_project(sinusoidal, width=10)",
    "gate(sinusoidal)",
    "beside(fourier, width=5)",
    "beside(random) + alibi",
]
EXPRESSIONS = list(dict.fromkeys([entry.example for entry in catalogue().values()] + COMBINATIONS))
SUBJECTS = [named(expression) for expression in EXPRESSIONS] + FOREIGN
