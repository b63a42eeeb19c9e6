"""What happened, told from the trace: the story of one step, the graph with its values, the diagnosis of a whole run.

It reads traces and the solvers' rules and may replay a span of a trace with them; it never chooses steps. Whatever it
tells is data first (frozen records), text after.
"""

from katamuki.explain.subject import Subject

__all__ = ["Subject"]
