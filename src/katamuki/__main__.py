"""``python -m katamuki`` is the command ``katamuki``."""

import sys

from katamuki.cli import main

sys.exit(main())
