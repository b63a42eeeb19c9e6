"""The completion script for bash, made from the table of flags by shtab when katamuki is built, and shipped as a file.

``python -m katamuki.cli.completing`` prints it (shtab is a tool for developers, not needed to run). The script asks
Python nothing, but for the columns of a table: ``katamuki __columns FILE``.
"""

from __future__ import annotations

import sys

from katamuki.cli.arguments import parser

# Only names that mean nothing to the shell are offered: a table comes from others.
COLUMNS = r"""
_katamuki_columns() {
  local word name files=()
  for word in "${COMP_WORDS[@]}"; do
    if [ -f "$word" ]; then files+=("$word"); fi
  done
  if [ ${#files[@]} -eq 0 ]; then return; fi
  while IFS= read -r name; do
    if [[ $name == "$1"* && $name =~ ^[[:alnum:]_]+$ ]]; then printf '%s\n' "$name"; fi
  done < <(katamuki __columns "${files[@]}" 2>/dev/null)
}
"""


def bash() -> str:
    """The script, as ``completion.bash`` holds it."""
    import shtab

    return str(shtab.complete(parser(completing=True), shell="bash", preamble={"bash": COLUMNS})).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(bash())
