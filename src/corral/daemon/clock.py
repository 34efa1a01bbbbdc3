"""What time is it? The only place of the daemons that reads the clock."""

import time

#: Seconds since the epoch, UTC: for what is recorded.
now = time.time
#: Seconds of a clock that is never set: for intervals.
monotonic = time.monotonic
