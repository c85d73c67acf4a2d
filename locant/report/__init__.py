"""A comparison as one self-contained page, as terminal tables and as Markdown. Reads a document; imports no model."""

from locant.report.markdown import markdown
from locant.report.page import render, write
from locant.report.tables import table

__all__ = ["markdown", "render", "table", "write"]
