"""A comparison as one self-contained page and as terminal tables. Reads a document; imports no model."""

from locant.report.page import render, write
from locant.report.tables import table

__all__ = ["render", "table", "write"]
