"""What is a column over nodes?"""

import numpy as np
import numpy.typing as npt

IntColumn = npt.NDArray[np.int64]
BoolColumn = npt.NDArray[np.bool_]
