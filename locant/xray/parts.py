"""Finished parts of an x-ray on disk, so that one that was stopped goes on where it was."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locant.lab.store import clear_partials, write_json
from locant.xray.metric import Metric

NUMERICS = 2
"""Raised, with a line in the changelog, whenever the same x-ray would give other numbers."""
Part = dict[str, Any]
MARKER = "xray.json"


@dataclass(frozen=True)
class Parts:
    """Where parts are kept (None: nowhere), and what all of them depend on."""

    folder: Path | None
    key: str
    tell: Callable[[str], None]

    def get(self, name: str, make: Callable[[], Part]) -> Part:
        """The part of that name: as it was recorded for the same key, or made and recorded now.

        A damaged record counts as none.
        """
        path = None if self.folder is None else self.folder / "parts" / f"{name.replace('/', '-')}.json"
        if path is not None and (found := _read(path, self.key)) is not None:
            self.tell(f"{name}: recorded already")
            return found
        self.tell(name)
        started = time.perf_counter()
        part = {**make(), "seconds": round(time.perf_counter() - started, 2)}
        if path is not None:
            write_json(path, {"key": self.key, "part": part})
        return part


def plain(metrics: dict[str, Metric], **more: Any) -> Part:
    """Metrics ready for JSON."""
    return {"metrics": {name: metric.to_dict() for name, metric in metrics.items()}, **more}


def open_parts(out: Path | None, key: Any, tell: Callable[[str], None]) -> Parts:
    """Makes `out` a folder for an x-ray, or checks that it is one. `key` is all that decides the numbers.

    Raises ValueError if `out` is a file, or a folder with something else in it.
    """
    digest = hashlib.sha256(json.dumps([NUMERICS, key], sort_keys=True, default=str).encode()).hexdigest()[:20]
    if out is not None:
        if out.exists() and not out.is_dir():
            raise ValueError(f"expected a folder for the x-ray, was a file: {out}")
        if not (out / MARKER).exists():
            if out.exists() and any(out.iterdir()):
                raise ValueError(f"expected an empty folder or one with an x-ray, was: {out} with other files")
            write_json(out / MARKER, {"numerics": NUMERICS})
        clear_partials(out)
    return Parts(out, digest, tell)


def _read(path: Path, key: str) -> Part | None:
    try:
        found = json.loads(path.read_text())
        part = found["part"] if found["key"] == key else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return part if isinstance(part, dict) else None
