"""Decoders: a sum in, the rows that were added out."""

from locant.capacity.decoders.dispatch import OF_ONE, OF_SEVERAL, decode
from locant.capacity.decoders.greedy import beam_search, pursuit, successive, successive_slots
from locant.capacity.decoders.inputs import MEMORY
from locant.capacity.decoders.linear import box, least_squares
from locant.capacity.decoders.memory import iterative_bytes, score_rows, sums_at_a_time
from locant.capacity.decoders.message_passing import amp, vamp
from locant.capacity.decoders.oblique import Oblique, make_oblique, oblique_pairs, project_out
from locant.capacity.decoders.pairs import Pairs, best_pairs, make_pairs
from locant.capacity.decoders.scores import Filter, make_filter, slot_filters, slot_order, slots, top
from locant.capacity.decoders.search import exhaustive, meet_in_the_middle, subsets
from locant.capacity.decoders.threshold import above
from locant.capacity.decoders.whitening import whiten

__all__ = [
    "MEMORY",
    "OF_ONE",
    "OF_SEVERAL",
    "Filter",
    "Oblique",
    "Pairs",
    "above",
    "amp",
    "beam_search",
    "best_pairs",
    "box",
    "decode",
    "exhaustive",
    "iterative_bytes",
    "least_squares",
    "make_filter",
    "make_oblique",
    "make_pairs",
    "meet_in_the_middle",
    "oblique_pairs",
    "project_out",
    "pursuit",
    "score_rows",
    "slot_filters",
    "slot_order",
    "slots",
    "subsets",
    "successive",
    "successive_slots",
    "sums_at_a_time",
    "top",
    "vamp",
    "whiten",
]
