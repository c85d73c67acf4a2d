"""``locant capacity``: options in, an answer out."""

from collections.abc import Callable
from typing import Any

from locant.capacity.ask import capacity
from locant.capacity.folders import from_folder
from locant.capacity.options import GPT2, Options
from locant.capacity.result import Capacity
from locant.capacity.tables import Table, load, same_width, usable


def run(options: Options, text: Callable[[], tuple[str, bytes]]) -> Capacity:
    """Answers the question of the options; `text` gives the text that is zipped, if there is a report.

    Raises ValueError, in one line, for what cannot be asked.
    """
    options.checked()
    tables = _tables(options)
    items: Any = tables or options.sizes()
    if len(tables) > 1 and options.members is not None:
        raise ValueError(f"expected one table with --members, was: {len(tables)}")
    return capacity(
        None if tables else GPT2["width"] if options.width is None else options.width,
        items,
        1 if options.members is None and options.solve == "members" else options.members,
        code=options.code,
        number_format=options.format,
        noise=options.noise,
        goal=options.goal,
        probability=options.probability,
        solve=options.solve,
        decoder=options.decoder,
        brute_force=options.brute_force,
        figures=options.out is not None,
        text=None if options.out is None else text(),
        seed=options.seed,
    )


def _tables(options: Options) -> list[Table]:
    if options.table:
        found = tuple(load(source) for source in options.table)
    elif options.model:
        found = from_folder(options.model)
        found = found[:1] if options.members is not None else found
    else:
        return []
    same_width(found)
    return [usable(table, drop=options.drop) for table in found]
