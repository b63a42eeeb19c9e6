"""The command line: ``katamuki COMMAND …``, a thin call of the library's public verbs.

``main`` reads the arguments, runs the command, and turns every outcome into an exit code: 0 done, 1 our fault, 2 usage,
3 data, 4 formula, 5 not converged or not identifiable, 6 the check contradicts, 130 Ctrl-C. Results go to standard
output, everything else to standard error. Until a command runs, nothing heavy is imported.
"""

from katamuki.cli.start import main

__all__ = ["main"]
