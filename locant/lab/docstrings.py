"""The docstrings of Python source, read without running it."""

import ast
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def docstrings(source: str) -> Iterator[str]:
    """Yields the docstrings of a source file in their order: of the module, of classes and of functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the library's own source is warned for is not the user's concern
        tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in _blocks(tree) if isinstance(node, documented) and node.body]
    for node in sorted(nodes, key=lambda node: node.body[0].lineno):
        text = ast.get_docstring(node)
        if text:
            yield text


@contextmanager
def no_collector() -> Iterator[None]:
    """Syntax trees have no cycles, and looking for some among their million nodes takes as long as parsing them."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _blocks(tree: ast.Module) -> list[ast.AST]:
    """The nodes that hold statements, breadth first. Four fifths of a tree are expressions, which hold none."""
    found: list[ast.AST] = [tree]
    for node in found:  # grows meanwhile
        for inside in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, inside, None)
            if isinstance(children, list):  # the body of a lambda is an expression
                found += [child for child in children if not isinstance(child, ast.Expr)]
    return found
