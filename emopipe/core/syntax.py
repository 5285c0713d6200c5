"""The syntax of Python code, without what changes no number: what fingerprints compare.

The texts are the same on all versions of Python. This module imports the standard library alone.
"""

import ast
from typing import Any


def statements(source: str) -> list[ast.stmt]:
    """Return the statements of a module that may change a number, as they are written."""
    return [statement for statement in ast.parse(source).body if not _is_silent(statement)]


def stripped(statement: ast.stmt) -> ast.stmt:
    """Return a statement of a module without what changes no number; the given one is changed."""
    return _Stripped().visit(statement)


class _Stripped(ast.NodeTransformer):
    """Takes out of code what changes no number."""

    def __init__(self) -> None:
        self._inside = [False]
        """Whether the statement at hand is inside of a function, outermost first."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Drop bare strings, that is docstrings, and silent statements from every block."""
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                setattr(node, name, [each for each in block if not _is_silent(each)])
        return super().generic_visit(node)

    def _keep(self, node: ast.AST) -> ast.AST:
        return node

    visit_Name = visit_Constant = _keep  # noqa: N815 - nothing is inside; half of all nodes are of these two kinds

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop type hints."""
        node.returns = None
        arguments = node.args
        for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
            if each:
                each.annotation = None
        self._inside.append(True)
        try:
            return self.generic_visit(node)
        finally:
            self._inside.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Keep the types of fields: what checks options reads them."""
        self._inside.append(False)
        try:
            return self.generic_visit(node)
        finally:
            self._inside.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Make `x: int = 1` in a function `x = 1`."""
        if not self._inside[-1]:
            return self.generic_visit(node)
        return self.visit(ast.Assign(targets=[node.target], value=node.value)) if node.value else None

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keep which exception is raised, and codes in it; drop its sentence."""
        if isinstance(node.exc, ast.Call):
            node.exc.args = [each for each in node.exc.args if not _is_message(each)]
            node.exc.keywords = [each for each in node.exc.keywords if not _is_message(each.value)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop the names of progress lines, and the texts about a network that `Spec` holds."""
        node.keywords = [each for each in node.keywords if each.arg not in ("licence", "citation")]
        if isinstance(node.func, ast.Name) and node.func.id == "Progress":
            node.args = [each for each in node.args if not _is_message(each)]
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Drop the message."""
        node.msg = None
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Join neighbouring texts and drop empty ones, which versions of Python split differently."""
        joined: list[ast.expr] = []
        for value in node.values:
            if isinstance(value, ast.Constant) and not value.value:
                continue
            both = [value, joined[-1]] if joined else []
            if both and all(isinstance(each, ast.Constant) for each in both):
                joined[-1] = ast.Constant(joined[-1].value + value.value)  # type: ignore[attr-defined]
            else:
                joined.append(value)
        node.values = joined
        return self.generic_visit(node)


def text(node: Any) -> str:
    """Return a syntax tree as text, without fields that are empty: newer versions of Python have more of them."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={text(value)}"
            for name in node._fields
            if name not in ("kind", "type_comment", "ctx") and (value := getattr(node, name, None)) not in (None, [])
        ]
        if isinstance(node, ast.Constant) and node.value is None:
            fields = ["value=None"]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, list):  # what imports bind counts where it is used
        return f"[{', '.join(text(each) for each in node if not isinstance(each, ast.Import | ast.ImportFrom))}]"
    return repr(node)


def _is_message(value: ast.expr) -> bool:
    """Whether an argument of an exception is a sentence: a text with blanks, a formatted text, or made by a call."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str) and " " in value.value
    if isinstance(value, ast.BinOp):
        return _is_message(value.left) or _is_message(value.right)
    if isinstance(value, ast.Call):  # `reason` makes the codes that files hold
        return getattr(value.func, "attr", getattr(value.func, "id", "")) != "reason"
    return isinstance(value, ast.JoinedStr)


def _is_silent(statement: ast.AST) -> bool:
    """Whether a statement is a docstring, a line for LOGGER, a call of PROGRESS or a warning: it makes no number."""
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    function = value.func if isinstance(value, ast.Call) else None
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return False
    return function.value.id in ("LOGGER", "PROGRESS") or (function.value.id, function.attr) == ("warnings", "warn")


def defined_names(statement: ast.stmt) -> list[str] | None:
    """Return the names that a statement defines, or None if it does something else too."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return None
    names: list[str] = []
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        if not all(isinstance(part, ast.Name) for part in parts):
            return None
        names += [part.id for part in parts]
    return names


def chains_and_imports(statement: ast.stmt) -> tuple[list[list[str]], list[ast.Import | ast.ImportFrom]]:
    """Return what code uses, and the imports in it.

    Returns:
        The names that it uses, each with the attributes that are asked of it: `a.b.c` is [a, b, c].
        The statements that import something.
    """
    found: list[list[str]] = []
    imports: list[ast.Import | ast.ImportFrom] = []

    def visit(node: ast.AST) -> None:
        chain, inner = [], node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            found.append([inner.id, *chain])
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(statement)
    return found, imports
