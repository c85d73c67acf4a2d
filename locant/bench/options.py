"""What ``locant bench`` can be asked."""

from dataclasses import dataclass
from typing import Literal

DEFAULT = ("none", "add(learned)", "concat(learned)", "add(sinusoidal)", "rotary", "rotary(layout=interleaved)",
           "alibi", "sandwich", "t5", "fire", "kerple_log", "diet_rel")  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Times encodings on this machine, on one thread or a GPU, as ratios to what cannot be avoided: a copy of the
    queries and keys, a bare lookup, attention without any encoding. Versions of other packages take part if they are
    installed.
    """

    encodings: tuple[str, ...] = DEFAULT
    """Expressions, as for compare."""
    batch: int = 2
    """Sequences at a time."""
    heads: int = 8
    """Heads of attention."""
    length: int = 1024
    """Tokens in a sequence, and keys in the cache of decoding."""
    head_width: int = 64
    """Columns of a head; the width of the tokens is that of all heads."""
    vocabulary: int = 32_000
    """Rows of the table that tokens are looked up in."""
    format: Literal["fp32", "bf16"] = "fp32"
    """What numbers are stored in."""
    device: str = "cpu"
    """What computes: cpu, in CPU time of one thread; or cuda, cuda:1, in time until it is done."""
    rounds: int = 7
    """How often each is timed, in turn with all others; ratios are taken within a round."""
    seed: int = 0
    """Of everything that is drawn."""
    probe: bool = False
    """Show what is chosen for this machine, and why, in place of timing encodings."""

    def checked(self) -> "Options":
        """The options, if all of them make sense. Raises ValueError, in one line, if not."""
        for name, least in (("batch", 1), ("heads", 1), ("length", 2), ("head_width", 1), ("vocabulary", 1),
                            ("rounds", 2)):  # fmt: skip
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"expected --{name.replace('_', '-')} of at least {least}, was: {value}")
        if not self.encodings:
            raise ValueError("expected at least one encoding, was: none")
        if len(set(self.encodings)) < len(self.encodings):
            raise ValueError(f"expected every encoding once, was: {', '.join(self.encodings)}")
        if self.probe and self != Options(probe=True):
            raise ValueError("expected --probe without options of what is timed, was: both")
        return self
