"""The completion scripts for bash and zsh, made from the table of flags by shtab and shipped as files.

``python -m katamuki.cli.completing bash`` prints one; shtab is a tool for developers, not needed to run. The scripts
ask Python nothing, but for the columns of a table: ``katamuki __columns FILE``.
"""

from __future__ import annotations

import sys

from katamuki.cli.arguments import parser

# Only names that mean nothing to the shell are offered: a table comes from others.
BASH = r"""
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
ZSH = r"""
_katamuki_columns() {
  local word name
  local -a files names
  for word in "${words[@]}"; do
    if [[ -f $word ]]; then files+=("$word"); fi
  done
  if (( ${#files} == 0 )); then return; fi
  while IFS= read -r name; do
    if [[ $name =~ '^[[:alnum:]_]+$' ]]; then names+=("$name"); fi
  done < <(katamuki __columns "${files[@]}" 2>/dev/null)
  compadd -a names
}
"""


def script(shell: str) -> str:
    """The script, as ``completion.bash`` or ``completion.zsh`` holds it."""
    import shtab

    made = shtab.complete(parser(completing=True), shell=shell, preamble={"bash": BASH, "zsh": ZSH})
    return str(made).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(script(*sys.argv[1:]))
