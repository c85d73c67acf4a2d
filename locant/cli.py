"""The command line: arguments in, calls out. Heavy imports wait until a command needs them."""

import io
import json
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from itertools import groupby
from typing import Annotated, Any, TypeVar

import tyro

from locant._version import __version__
from locant.lab import interrupts
from locant.lab.settings import PRESETS, Settings

Options = TypeVar("Options")
USAGE = f"""locant {__version__}: how should a transformer be told what a token is and where it is?

  locant compare     train a small transformer under several positional encodings, and say which is better
  locant capacity    say how many vectors can be added before they cannot be told apart
  locant xray        measure what a trained model does with position
  locant bench       say what each encoding costs on this machine
  locant encodings   list every encoding with its formula, source and limits

`locant COMMAND --help` shows the options. Every command takes --json.
"""


def main() -> None:
    """Runs the command line; every expected error becomes one line and a non-zero exit."""
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nlocant: interrupted; what was finished is recorded, and the same command continues", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"locant: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def run(arguments: list[str]) -> int:
    """Runs one command and returns the exit status. Raises ValueError for a command that does not exist."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("--help", "-h", "help"):
        print(USAGE, end="")
        return 0
    if command == "--version":
        print(__version__)
        return 0
    if command not in COMMANDS:
        raise ValueError(f"expected a command among {', '.join(COMMANDS)}, was: {command!r}")
    return COMMANDS[command](rest)


def compare(arguments: list[str]) -> int:
    """``locant compare``: 0 if all runs are done, 1 if some failed."""
    preset, arguments = _take(arguments, "--preset", "quick")
    if preset not in PRESETS:
        raise ValueError(f"expected the preset {' or '.join(PRESETS)}, was: {preset!r}")
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    settings = _settings(arguments, preset)
    interrupts.note()
    from rich.console import Console

    from locant.lab.compare import compare as call
    from locant.lab.display import Display
    from locant.report import table

    with Display(Console(stderr=as_json, markup=False)) as display:
        document = call(settings, display)
    if as_json:
        print(json.dumps(document, allow_nan=False))
    else:
        # Tables need room; a pipe has no width of its own.
        console = Console(markup=False, width=None if sys.stdout.isatty() else 120)
        for each in table(document, console.width):
            console.print(each)
        for note in document["notes"]:
            console.print(f"note: {note}", highlight=False)
        console.print(f"report: {settings.out / 'report.html'}", highlight=False, soft_wrap=True)
    if document["failed"]:
        count = f"{len(document['failed'])} run{'' if len(document['failed']) == 1 else 's'}"
        print(f"locant: {count} failed; the same command tries again", file=sys.stderr)
    return 1 if document["failed"] else 0


def _settings(arguments: Sequence[str], preset: str) -> Settings:
    more = (
        f"--preset quick|serious sets the defaults below (shown: {preset}). "
        "--json prints one JSON object on stdout and the progress on stderr."
    )
    return _read(Settings, PRESETS[preset], arguments, "compare", more)


def _read(kind: type[Options], default: Options, arguments: Sequence[str], command: str, more: str) -> Options:
    """Reads the options. Raises ValueError, in one line, for those that do not exist or do not fit."""
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            nameless: Any = Annotated[kind, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff]
            read: Options = tyro.cli(
                nameless,
                args=arguments,
                default=default,
                prog=f"locant {command}",
                description=f"{kind.__doc__}\n\n{more}",
            )
            return read
    except SystemExit as end:
        if not end.code:  # --help
            raise
    raise ValueError(_unboxed(told.getvalue(), f"locant {command}"))


def xray(arguments: list[str]) -> int:
    """``locant xray``: always 0; what cannot be measured is in the report with its reason."""
    from locant.xray.command import command

    return command(arguments, _unboxed)


def _unboxed(message: str, command: str = "locant compare") -> str:
    """The first paragraph under the title of a message in a box, be it drawn with lines or in ASCII, as one line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", message)
    _, *lines = [line.strip(" │") for line in plain.splitlines()]
    paragraphs = [list(group) for is_text, group in groupby(lines, lambda line: bool(line.strip("─-"))) if is_text]
    return f"{' '.join(paragraphs[0]).rstrip('.')}; see {command} --help"


def capacity(arguments: list[str]) -> int:
    """``locant capacity``: how much can be added before it cannot be taken apart."""
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    from locant.capacity.options import Options as Asked

    options = _read(Asked, Asked(), arguments, "capacity", "--json prints one JSON object on stdout.")
    from locant.capacity.command import run as answer

    document = answer(options, _default_text).to_dict()
    if options.out is not None:
        from locant.report.capacity_page import write

        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "capacity.json").write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
        write(document, options.out / "report.html")
    if as_json:
        print(json.dumps(document, allow_nan=False))
        return 0
    from rich.console import Console

    from locant.report.capacity_terminal import sentences, tables

    console = Console(markup=False, width=None if sys.stdout.isatty() else 140)
    for sentence in sentences(document):
        console.print(sentence, highlight=False)
    for each in tables(document):
        console.print(each)
    for note in document["notes"]:
        console.print(f"note: {note}", highlight=False)
    if options.out is not None:
        console.print(f"report: {options.out / 'report.html'}", highlight=False, soft_wrap=True)
    return 0


def _default_text() -> tuple[str, bytes]:
    """The text of the comparison's default, to be zipped."""
    from locant.lab.corpora import load

    text = load("prose")
    return text.description, bytes(text.train.numpy()) + bytes(text.test.numpy())


def encodings(arguments: list[str]) -> int:
    """``locant encodings``: the catalogue as a table, or as JSON."""
    unknown = [argument for argument in arguments if argument != "--json"]
    if unknown in (["--help"], ["-h"]):
        print(
            "locant encodings [--json]\n\nLists every encoding, every code that stands in add(...) and "
            "the like, and what is left out."
        )
        return 0
    if unknown:
        raise ValueError(f"expected locant encodings [--json], was: {unknown[0]!r}")
    from locant.encodings import LEFT_OUT, catalogue

    rows: list[dict[str, Any]] = [entry.summary() for entry in catalogue().values()]
    left_out = [dict(zip(("name", "source", "reason"), each, strict=True)) for each in LEFT_OUT]
    if arguments:
        print(json.dumps({"encodings": rows, "left_out": left_out}, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    # No markup: brackets belong to the formulas.
    console = Console(markup=False, width=None if sys.stdout.isatty() else 160)
    for title, keys, lines in (
        (None, ("example", "formula", "acts_on", "parameters", "limit", "source"), rows),
        ("\nnot in the catalogue", ("name", "source", "reason"), left_out),
    ):
        table = Table(box=None)
        for key in keys:
            table.add_column(key.replace("_", " "), overflow="fold")
        for line in lines:
            table.add_row(*[line[key] for key in keys])
        if title is not None:
            console.print(title)
        console.print(table, highlight=False)
    return 0


def bench(arguments: list[str]) -> int:
    """``locant bench``: what encodings cost here, as ratios within one run."""
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    from locant.bench.options import Options as Asked

    more = "--json prints one JSON object on stdout and the progress on stderr."
    options = _read(Asked, Asked(), arguments, "bench", more).checked()
    from rich.console import Console
    from rich.table import Table

    from locant.bench import command

    console = Console(markup=False, width=None if sys.stdout.isatty() else 140)
    if options.probe:
        document, rows = command.probed()
        table = Table("choice", "taken", "why", box=None)
        for row in rows:
            table.add_row(*row)
        tables, notes = [table], []
    else:
        document = command.run(options, lambda line: print(f"timing {line}", file=sys.stderr))
        tables, notes = command.tables(document), command.notes(document)
    if as_json:
        print(json.dumps(document, allow_nan=False))
        return 0
    for each in tables:
        console.print(each, highlight=False)
    for note in notes:
        console.print(f"note: {note}", highlight=False)
    return 0


def _take(arguments: list[str], name: str, default: str) -> tuple[str, list[str]]:
    """The value of an option that must be known before the others are read, and the remaining arguments."""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2], arguments[:index] + arguments[index + 1 :]
        if argument == name:
            if index + 1 == len(arguments):
                raise ValueError(f"expected a value after {name}, was: none")
            return arguments[index + 1], arguments[:index] + arguments[index + 2 :]
    return default, arguments


COMMANDS = {"compare": compare, "capacity": capacity, "xray": xray, "bench": bench, "encodings": encodings}
