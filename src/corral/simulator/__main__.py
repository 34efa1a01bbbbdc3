"""`python -m corral.simulator`: what `corral simulate` runs."""

import sys

from corral.simulator.main import main

sys.exit(main())
