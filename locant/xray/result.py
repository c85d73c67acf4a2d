"""What an x-ray found: a document with every metric by its definition's id, and its page."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from locant.lab.store import write_json


@dataclass(frozen=True, eq=False)
class XRay:
    """The finished x-ray of a model. In a notebook it shows itself as its page."""

    document: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The document: ``model``, ``claims``, ``metrics`` (each with ``value``, ``baseline``, ``n``, ``interval`` and
        ``note``), ``figures``, ``facts``, ``hooks`` and ``versions``; ready for JSON.
        """
        return self.document

    def to_html(self) -> str:
        """The page: one self-contained text without scripts and without a network."""
        from locant.report.xray_page import render_xray

        return render_xray(self.document)

    def save(self, folder: Path | str) -> Path:
        """Writes ``report.html`` and ``xray.json`` into the folder and returns the path of the page."""
        from locant.report.xray_page import write_xray

        page = Path(folder) / "report.html"
        write_json(Path(folder) / "xray.json", self.document)
        write_xray(self.document, page)
        return page

    def _repr_html_(self) -> str:
        # A frame keeps the page's style apart from the notebook's.
        frame = '<iframe title="x-ray" style="width:100%;height:44rem;border:0" srcdoc="{}"></iframe>'
        return frame.format(escape(self.to_html(), quote=True))

    def __repr__(self) -> str:
        return f"XRay({self.document['model']['name']!r}, {len(self.document['metrics'])} metrics)"
