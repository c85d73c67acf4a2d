"""What ``locant capacity`` can be asked: its options, with the sizes of GPT-2 where nothing is given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GPT2 = {"vocab": 50257, "positions": 1024, "width": 768}


@dataclass(frozen=True)
class Options:
    """Says how many vectors can be added into one and told apart again, by which decoder, and what the limit is.

    Without options: a token and a position vector at GPT-2's sizes.
    """

    vocab: int | None = None
    """Vectors in the first table. Default: 50257."""
    positions: int | None = None
    """Vectors in the second table, of which one is added to one of the first; 0: one table. Default: 1024, or 0 with
    --members."""
    members: int | None = None
    """How many different vectors of one table are added."""
    width: int | None = None
    """Numbers in each vector. Default: 768."""
    format: str = "bf16"
    """What the sum is stored in: fp64, fp32, fp16, bf16, e4m3, e5m2, int8, int4, int3, int2, 1bit."""
    code: str = "gauss"
    """How the vectors are drawn: gauss, sphere (equal lengths) or sign (entries of plus and minus one)."""
    goal: str = "set"
    """What must be recovered: set (all members, their number known), slot (that of the first table, or one of --members
    tables of --vocab), membership (all members, their number unknown)."""
    noise: float = 0.0
    """Variance of the noise on each number of the sum, where an entry of a vector has variance 1."""
    probability: float | None = None
    """The probability that widths and members are given for. Default: both 0.5 and 0.99."""
    solve: Literal["width", "items", "members", "format", "probability"] | None = None
    """Find this one from the others, for --decoder, and go on with it."""
    decoder: str = "dot"
    """The decoder to solve for: dot, first, sic, omp, amp, best, any."""
    table: tuple[str, ...] = ()
    """One or two real tables, FILE:NAME, in safetensors, npy, npz or GGUF; their sizes are taken from them."""
    model: Path | None = None
    """A folder with a model, as Hugging Face stores it; its token and position tables are found by their names."""
    drop: bool = False
    """Leave out rows of real tables that are zero, not finite, or equal to another."""
    brute_force: bool = False
    """Check the asked width by brute force, too, however large."""
    out: Path | None = None
    """Folder for a report with figures: report.html and capacity.json. It also adds up every sum of the ways to get
    everything into one number, and zips the default text again and again."""
    seed: int = 0
    """Of everything that is drawn."""

    def checked(self) -> "Options":
        """The options, if they do not contradict each other.

        Raises ValueError, in one line, for options that would have to be ignored.
        """
        real = "--table" if self.table else "--model" if self.model else None
        if self.table and self.model:
            raise ValueError("expected --table or --model, was: both")
        if len(self.table) > 2:
            raise ValueError(f"expected one or two tables, was: {len(self.table)}")
        for name in ("vocab", "positions", "width"):
            if real and getattr(self, name) is not None:
                raise ValueError(f"expected the sizes of {real}, was: --{name} too")
        if self.solve == "width" and (self.width is not None or real):
            raise ValueError(f"expected --solve width without a width, was: {real or '--width'} too")
        if self.solve in ("items", "members") and real:
            raise ValueError(f"expected {real} without --solve {self.solve}, was: both")
        if self.solve == "items" and self.vocab is not None:
            raise ValueError("expected --solve items without --vocab, was: both")
        if self.solve == "members" and self.members is not None:
            raise ValueError("expected --solve members without --members, was: both")
        if self.solve is None and self.decoder != "dot":
            raise ValueError(f"expected --solve with --decoder {self.decoder}, was: no --solve")
        if self.drop and not real:
            raise ValueError("expected --table or --model with --drop, was: neither")
        if self.members is not None and self.positions:
            raise ValueError(f"expected --members or --positions, was: {self.members} and {self.positions}")
        if self.goal == "membership" and self.members is None and self.solve != "members":
            raise ValueError("expected --members with --goal membership, was: none")
        if self.goal == "slot" and self.members is None and self.solve != "members" and self.positions == 0:
            raise ValueError("expected --members or --positions with --goal slot, was: neither")
        if self.positions is not None and self.positions < 0:
            raise ValueError(f"expected --positions of at least 0, was: {self.positions}")
        return self

    def sizes(self) -> tuple[int, ...]:
        """The sizes of the tables that are asked about."""
        vocab = GPT2["vocab"] if self.vocab is None else self.vocab
        alone = self.members is not None or self.goal == "membership" or self.solve == "members"
        positions = (0 if alone else GPT2["positions"]) if self.positions is None else self.positions
        return (vocab, positions) if positions else (vocab,)
