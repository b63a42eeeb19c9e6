"""``python -m katamuki`` is the command ``katamuki``."""

import sys

from katamuki.cli import main

if __name__ == "__main__":
    sys.exit(main())
