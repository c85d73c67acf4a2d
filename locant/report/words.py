"""Numbers and verdicts as text. Every function takes a missing value and says so."""

from typing import Any

from locant.report.document import Document, finite

MISSING = "–"


def metric(value: float | None) -> str:
    """A metric to four places: 2.9812."""
    return f"{value:.4f}".replace("-", "−") if value is not None and finite(value) else MISSING


def signed(value: float | None) -> str:
    """A difference to four places with its sign: −0.0213, and no sign at zero."""
    if value is None or not finite(value):
        return MISSING
    text = f"{value:+.4f}".replace("-", "−")
    return text[1:] if float(f"{value:.4f}") == 0 else text


def interval(bounds: list[float] | None) -> str:
    """An interval to four places: [−0.0402, −0.0024]."""
    return MISSING if bounds is None else f"[{signed(bounds[0])}, {signed(bounds[1])}]"


def compact(value: float | None) -> str:
    """A count to three figures with its power of a thousand: 106k, 1.25M, 4.2T."""
    if value is None or not finite(value):
        return MISSING
    for power, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * power:
            return f"{_three(value / power)}{suffix}"
    return _three(value)


def _three(value: float) -> str:
    text = f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    return text.replace("-", "−")


def grouped(value: float | None) -> str:
    """A count in full, with thin groups of three: 614 400."""
    return f"{value:,.0f}".replace(",", "\u202f") if value is not None and finite(value) else MISSING


def seconds(value: float | None) -> str:
    """Seconds to three figures: 5.90, 73.4, 1250."""
    if value is None or not finite(value):
        return MISSING
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def verdict(row: Document) -> str:
    """The verdict and, where undecided, how many more seeds it may take."""
    if row["verdict"] != "undecided" or row["more_seeds"] is None:
        return str(row["verdict"])
    return f"undecided, about {more(row['more_seeds'])}"


def more(count: int) -> str:
    """`1 more seed`, `12 more seeds`."""
    return f"{count} more seed{'' if count == 1 else 's'}"


def plain(value: Any) -> str:
    """Any field of a flat table: lists joined, numbers without noise, None as a dash."""
    if value is None:
        return MISSING
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return grouped(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def label(key: str) -> str:
    """A key as words: `train_bytes` as `train bytes`."""
    return key.replace("_", " ")


def listed(items: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def ascii_only(text: str) -> str:
    """The signs of this module in ASCII, for a terminal of any encoding."""
    for sign, plain_sign in (("−", "-"), (MISSING, "-"), ("\u202f", " "), ("×", "x"), ("±", "+/-")):
        text = text.replace(sign, plain_sign)
    return text
