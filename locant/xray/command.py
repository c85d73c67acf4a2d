"""``locant xray``: options in, summary, JSON and page out."""

import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr

import tyro

from locant.xray.options import Options, chosen, folder_of, sizes, split_words


def command(arguments: Sequence[str], explain: Callable[[str, str], str]) -> int:
    """Runs the command; `explain(message, command)` turns the parser's box into one line. Returns the exit status."""
    as_json = "--json" in arguments
    options = parse([argument for argument in arguments if argument != "--json"], explain)
    windows, layers = sizes(options.windows), chosen(options.layers)
    from rich.console import Console

    from locant.xray.display import Display
    from locant.xray.look import xray

    out = folder_of(options)
    with Display(Console(stderr=True, markup=False)) as display:
        found = xray(
            options.model, text=options.text, windows=windows, layers="all" if layers is None else layers,
            words=split_words(options.words), vocabulary=options.vocabulary, space=options.space,
            tables_only=options.tables_only, quick=options.quick, revision=options.revision,
            revisions=options.revisions, device=options.device, seed=options.seed, out=out, tell=display.tell
        )  # fmt: skip
    document = found.to_dict()
    if as_json:
        print(json.dumps(document, allow_nan=False))
        return 0
    from locant.report.xray_terminal import summary

    console = Console(markup=False, width=None if sys.stdout.isatty() else 120)
    for each in summary(document):
        console.print(each, highlight=False)
    console.print(f"report: {out / 'report.html'}", highlight=False, soft_wrap=True)
    return 0


def parse(arguments: Sequence[str], explain: Callable[[str, str], str]) -> Options:
    """Reads the options. Raises ValueError, in one line, for those that do not exist or do not fit."""
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            made: Options = tyro.cli(Options, args=arguments, prog="locant xray",
                                 description=f"{Options.__doc__}\n\n--json prints one JSON object on stdout and the "
                                 "progress on stderr.")  # fmt: skip
            return made
    except SystemExit as end:
        if not end.code:  # --help
            raise
    raise ValueError(explain(told.getvalue(), "locant xray"))
