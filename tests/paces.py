"""How many curves the next block of many has: always the same, to show that nothing depends on it."""

from __future__ import annotations

from katamuki.api.many_blocks import Done
from katamuki.api.many_running import Pace


class Fixed(Pace):
    """It learns nothing."""

    def seen(self, done: Done) -> None:
        """Not how long a block took."""
