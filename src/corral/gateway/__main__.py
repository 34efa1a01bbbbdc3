"""`python -m corral.gateway`: what `corral gateway` and the controller start."""

import sys

from corral.gateway.main import main

sys.exit(main())
