"""Every encoding of the catalogue and combinations of them, as subjects of the contract."""

from contract.foreign import FOREIGN
from support import named

from locant.encodings import catalogue

COMBINATIONS = [
    "rotary(side=last, fraction=0.5)",
    "mrope(interleaved=True, layout=interleaved)",
    "pope(uniform=True)",
    "yarn(factor=4, original=16) + rotary_values(side=last, fraction=0.5)",
    "per_layer(rotary_mixed, rotary_mixed(axes=3), xpos)",
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
    "shaw(furthest=5, bidirectional=True, values=True)",
    "per_layer(shaw(furthest=5, values=True) + rotary, deberta(span=4), cope(furthest=5))",
    "deberta(span=8, max_distance=32, released=True)",
    "tupe(sinusoidal, cls=0) + t5",
    "diet_abs(rank=3) + diet_rel(bidirectional=True)",
    "dape(alibi + diet_rel)",
    "mlp_bias(logarithmic=False, hidden=7)",
    "transformer_xl(width=6) + rotary",
    "distance_bank(extent=9) + ssmax",
    "forgetting + length_temperature(every=6, smooth=True)",
    "sandwich(width=12) + alibi(ahead=2.0)",
    "mix(sinusoidal)",
    "mix(learned, start=concat)",
    "concat_mlp(sinusoidal, width=6, hidden=5)",
    "matched_add(sinusoidal, scale=0.5)",
    "multiply(random)",
    "bind(random) + rotary",
    "inject(sinusoidal)",
    "inject(learned, per_layer=True)",
    "beside(learned, width=6, per_layer=True)",
    "concat(sinusoidal_nd(axes=3), width=12)",
    "add(learned_axial(combine=sum))",
    "add(learned_grid(axes=1), scale=0.5)",
    "concat(learnable_fourier(axes=2))",
    "add(binary) + rotary",
    "rerope(window=4, group=8)",
    "self_extend(window=3, group=3) + t5",
    "without(concat(learned) + per_layer(rotary, none))",
    "on_axis(add(learned), axis=1) + on_axis(per_layer(rotary, none), axis=0)",
    # Two bases: fast rotations for three layers, slow ones for the fourth (Gemma 3).
    "per_layer(rotary, rotary, rotary(base=1e6))",
    # No position in every fourth layer, or in the first layers, or everywhere but in the first.
    "per_layer(rotary, rotary, rotary, none)",
    "per_layer(none, none, rotary)",
    "per_layer(inject(sinusoidal), none, none)",
]
EXPRESSIONS = list(dict.fromkeys([entry.example for entry in catalogue().values()] + COMBINATIONS))
SUBJECTS = [named(expression) for expression in EXPRESSIONS] + FOREIGN
