"""`python -m corral.controller`: what `corral controller` and `corral up` start."""

import sys

from corral.controller.main import main

sys.exit(main())
