"""How many vectors can be added and still be told apart: laws, simulators, decoders and number formats."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locant.capacity.approximate import classic_integral
    from locant.capacity.ask import capacity
    from locant.capacity.bits import bits_available, bits_needed, pigeonhole_members, pigeonhole_width
    from locant.capacity.brute import brute_force
    from locant.capacity.decoders import decode
    from locant.capacity.estimate import Estimate
    from locant.capacity.exact import recovery_probability
    from locant.capacity.formats import FORMATS, NumberFormat, number_format
    from locant.capacity.information import random_code_probability
    from locant.capacity.membership import membership_probability
    from locant.capacity.other_codes import recovery
    from locant.capacity.pursuit import omp_probability, successive_probability
    from locant.capacity.result import Capacity
    from locant.capacity.rules import box_probability, compare_rules, union_bound
    from locant.capacity.simulate import law_sample
    from locant.capacity.solve import format_for, items_for, members_for, width_for
    from locant.capacity.state_evolution import amp_members, amp_recovers, amp_width
    from locant.capacity.two_codebooks import successive_pair

_HOMES = {
    "approximate": ("classic_integral",),
    "ask": ("capacity",),
    "bits": ("bits_available", "bits_needed", "pigeonhole_members", "pigeonhole_width"),
    "brute": ("brute_force",),
    "decoders": ("decode",),
    "estimate": ("Estimate",),
    "exact": ("recovery_probability",),
    "formats": ("FORMATS", "NumberFormat", "number_format"),
    "information": ("random_code_probability",),
    "membership": ("membership_probability",),
    "other_codes": ("recovery",),
    "pursuit": ("omp_probability", "successive_probability"),
    "result": ("Capacity",),
    "rules": ("box_probability", "compare_rules", "union_bound"),
    "simulate": ("law_sample",),
    "solve": ("format_for", "items_for", "members_for", "width_for"),
    "state_evolution": ("amp_members", "amp_recovers", "amp_width"),
    "two_codebooks": ("successive_pair",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FORMATS",
    "Capacity",
    "Estimate",
    "NumberFormat",
    "amp_members",
    "amp_recovers",
    "amp_width",
    "bits_available",
    "bits_needed",
    "box_probability",
    "brute_force",
    "capacity",
    "classic_integral",
    "compare_rules",
    "decode",
    "format_for",
    "items_for",
    "law_sample",
    "members_for",
    "membership_probability",
    "number_format",
    "omp_probability",
    "pigeonhole_members",
    "pigeonhole_width",
    "random_code_probability",
    "recovery",
    "recovery_probability",
    "successive_pair",
    "successive_probability",
    "union_bound",
    "width_for",
]


def __getattr__(name: str) -> Any:
    # torch, scipy and the decoders take seconds to import; a law needs none of the decoders, `--help` none of all.
    if name in _HOME:
        return getattr(import_module(f"locant.capacity.{_HOME[name]}"), name)
    raise AttributeError(f"module 'locant.capacity' has no attribute {name!r}")
