#!/bin/bash
#SBATCH --job-name=train_digits
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=1
#SBATCH --gpus-per-node=4
#SBATCH --mem=4000
#SBATCH --time=10:00

# Trains a classifier of handwritten digits on all tasks of the job at once (see train_digits.py).
#
#     sbatch examples/train_digits.sh

set -euo pipefail

# The script runs from a copy, so its neighbours are looked for where sbatch was called.
for folder in "$SLURM_SUBMIT_DIR/examples" "$SLURM_SUBMIT_DIR"; do
    [ -f "$folder/train_digits.py" ] && break
done
[ -f "$folder/train_digits.py" ] || { echo "train_digits.py is neither in $SLURM_SUBMIT_DIR nor in its examples/" >&2; exit 1; }

python=python3
if ! "$python" -c 'import numpy' 2>/dev/null; then
    python="$folder/../.venv/bin/python"
    "$python" -c 'import numpy' || { echo "no Python with numpy: python3 -m pip install numpy" >&2; exit 1; }
fi

# The first task of the first node is where the others meet. Virtual nodes share one machine and have no address of their own.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_ADDR=${nodes[0]}
getent hosts "$MASTER_ADDR" >/dev/null || MASTER_ADDR=127.0.0.1
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
MASTER_TOKEN=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
export MASTER_ADDR MASTER_PORT MASTER_TOKEN
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK OPENBLAS_NUM_THREADS=$SLURM_CPUS_PER_TASK

echo "job $SLURM_JOB_ID: $SLURM_NTASKS tasks on ${#nodes[@]} nodes (${nodes[*]}), meeting at $MASTER_ADDR:$MASTER_PORT"
srun "$python" "$folder/train_digits.py"
