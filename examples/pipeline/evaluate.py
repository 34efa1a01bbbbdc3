"""How many of the held-out digits does a model tell right? Fails when it is too few."""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from train_digits import Network, digits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--least", type=float, default=0.93)
    given = parser.parse_args()
    network = Network()
    network.weights = np.load(given.model)
    _, _, pictures, labels = digits()
    accuracy = network.accuracy(pictures, labels)
    print(f"accuracy on {len(labels)} held-out digits: {accuracy:.1%}, wanted {given.least:.1%}", flush=True)
    if accuracy < given.least:
        print(f"{given.model}: not good enough to be served", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
