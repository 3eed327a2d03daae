"""`python -m effcc` is `effcc`."""

import sys

from effcc.cli import main

sys.exit(main())
