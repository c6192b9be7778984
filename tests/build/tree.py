# SPDX-License-Identifier: BSD-3-Clause
"""What the build tests have in common: the source tree, C text without its comments, the verdict."""

import os
import re
import subprocess
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD_DIRS = re.compile(r"^(build[^/]*|\.git)(/|$)")
_TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def code(text):
    """Comments become blanks, literals become empty ones; line numbers stay."""

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] * 2
        return " " + "\n" * found.count("\n")

    return _TOKENS.sub(blank, text)


def files(under="", suffixes=("",)):
    """Paths of the tracked files, or of all files where there is no git."""
    git = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    ) if os.path.exists(os.path.join(TOP, ".git")) else None
    if git is not None and git.returncode == 0:
        found = git.stdout.decode().split("\0")[:-1]
    else:
        found = [
            os.path.relpath(os.path.join(where, name), TOP)
            for where, _, names in os.walk(TOP)
            for name in names
        ]
    return sorted(
        path
        for path in found
        if path.startswith(under)
        and path.endswith(tuple(suffixes))
        and not BUILD_DIRS.match(path)
        and os.path.isfile(os.path.join(TOP, path))
    )


def public_headers():
    return files("include/gh/", (".h",))


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def verdict(what, checked, problems):
    """Ends the test. Having checked nothing is a failure as well."""
    for problem in problems:
        print(problem)
    if checked == 0:
        print(f"{what}: nothing was checked")
        problems = ["nothing"]
    print(f"{what}: {checked} checked, {len(problems)} wrong")
    sys.exit(1 if problems else 0)
