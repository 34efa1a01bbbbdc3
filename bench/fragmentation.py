"""How much of the GPUs of Alibaba's cluster can be given out, beside the published figures? Pods arrive one by one and none leaves.

.venv/bin/python bench/fragmentation.py NODES.csv PODS.csv [--seeds 42-51] [--policy NAME ...]

The lists are openb_node_list_gpu_node.csv and openb_pod_list_default.csv of alibaba/clusterdata, cluster-trace-gpu-v2023.
"""

import argparse
import json
import subprocess
import sys
import time

#: "Beware of Fragmentation" (USENIX ATC 2023), mean of seeds 42 to 51: per cent of all GPUs when 100 % and when 130 % has been asked for.
PUBLISHED = {
    "Random": (86.30, 87.47),
    "DotProd": (90.62, 90.85),
    "GpuClustering": (91.65, 91.88),
    "GpuPacking": (91.78, 92.00),
    "BestFit": (92.86, 93.08),
    "FGD (the paper's)": (95.23, 95.39),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes")
    parser.add_argument("pods")
    parser.add_argument("--seeds", default="42-51")
    parser.add_argument("--policy", action="append", default=[])
    given = parser.parse_args()
    for name, figures in PUBLISHED.items():
        print(f"{name:<24}{figures[0]:>8.2f}{figures[1]:>8.2f}")
    for policy in given.policy or ["default", "pack"]:
        began = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-m", "corral.simulator", "--alibaba-nodes", given.nodes, "--alibaba-pods", given.pods,
             "--demand", "1.3", "--seeds", given.seeds, "--policy", policy, "--json"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found = json.loads(run.stdout)
        took = time.monotonic() - began
        print(
            f"{'Corral, ' + policy:<24}{found['allocated_pct_at_100']:>8.2f}{found['allocated_pct_at_130']:>8.2f}   in {took:.0f} s"
        )


if __name__ == "__main__":
    main()
