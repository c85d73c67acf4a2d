"""Writes docs/encodings.md, the catalogue as a page: python docs/catalogue.py"""

from pathlib import Path

from locant.encodings import LEFT_OUT, catalogue

PAGE = Path(__file__).parent / "encodings.md"
OPENING = """# Encodings

Made by `python docs/catalogue.py` from the catalogue; `locant encodings` prints the same. An *example* is an expression
as `locant compare` and `locant.encodings.build` take it; codes stand in `add(...)`, `concat(...)`, `beside(...)` and
the like. *Shift-invariant*: attention stays the same when all positions move by one amount. The docstrings have shapes,
errors, and how each differs from its source.
"""


def page() -> str:
    """The page: one table of encodings, one of codes, and what is left out."""
    head = "| example | formula | acts on | parameters | limit | shift-invariant | source |\n" + "|---" * 7 + "|\n"
    tables = {"Encodings": "", "Codes": ""}
    for entry in catalogue().values():
        invariant = {True: "yes", False: "no", None: "as its parts"}[entry.shift_invariant]
        cells = [f"`{entry.example}`", f"`{entry.formula}`", entry.acts_on, entry.parameters, entry.limit, invariant]
        line = " | ".join(cell.replace("|", "\\|") for cell in [*cells, entry.source])
        tables["Codes" if entry.acts_on == "code" else "Encodings"] += f"| {line} |\n"
    left_out = "\n## Left out\n\n| method | source | why |\n" + "|---" * 3 + "|\n"
    left_out += "".join(f"| {name} | {source} | {reason} |\n" for name, source, reason in LEFT_OUT)
    return OPENING + "".join(f"\n## {title}\n\n{head}{rows}" for title, rows in tables.items()) + left_out


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
