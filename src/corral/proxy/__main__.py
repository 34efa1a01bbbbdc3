"""`python -m corral.proxy`."""

import sys

from corral.proxy.main import main

sys.exit(main())
