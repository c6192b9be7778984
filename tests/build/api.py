# SPDX-License-Identifier: BSD-3-Clause
"""The public interface as the headers declare it."""

import re

import tree

# GH_API, a type that may end in stars, a name, parameters.
_FUNCTION = re.compile(r"^GH_API\s+([^;()]*?[\s*])(gh_\w+)\s*\(((?:[^()]|\([^()]*\))*)\)\s*;", re.MULTILINE)
_DOC = re.compile(r"/\*\*((?:(?!\*/).)*)\*/\s*\Z", re.DOTALL)


class Function:
    """One declaration with the comment before it."""

    def __init__(self, path, text, match):
        self.path = path
        self.line = tree.line_of(text, match.start())
        self.returns_void = match.group(1).strip() == "void"
        self.name = match.group(2)
        self.parameters = _parameters(match.group(3))
        doc = _DOC.search(text, 0, match.start())
        self.doc = re.sub(r"^[ \t]*\* ?", "", doc.group(1), flags=re.MULTILINE) if doc else ""

    def where(self):
        return f"{self.path}:{self.line}: {self.name}()"


def _parameters(text):
    names = []
    # A function's own parameters are not this function's.
    text = re.sub(r"(\(\s*\*\s*\w+\s*\))\s*\([^()]*\)", r"\1", text)
    for parameter in text.split(","):
        parameter = parameter.strip()
        if parameter in ("", "void"):
            continue
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)", parameter)
        plain = re.search(r"(\w+)\s*(?:\[[^]]*\])?$", parameter)
        names.append((pointer or plain).group(1))
    return names


def functions(path):
    text = tree.read(path)
    return [Function(path, text, match) for match in _FUNCTION.finditer(text)]


def marks(path):
    """How often GH_API is used in a header, to be compared with what the pattern above finds."""
    return len(re.findall(r"^GH_API\b", tree.code(tree.read(path)), re.MULTILINE))
