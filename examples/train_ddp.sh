#!/bin/bash
#SBATCH --job-name=train_ddp
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=1
#SBATCH --time=10:00

# Trains with PyTorch on all tasks of the job at once (see train_ddp.py).
#
#     sbatch examples/train_ddp.sh                 each task is a rank
#     sbatch examples/train_ddp.sh torchrun        one torchrun on each node, which starts the ranks

set -euo pipefail

# The script runs from a copy, so its neighbour is looked for where sbatch was called.
for folder in "$SLURM_SUBMIT_DIR/examples" "$SLURM_SUBMIT_DIR"; do
    [ -f "$folder/train_ddp.py" ] && break
done
[ -f "$folder/train_ddp.py" ] || { echo "train_ddp.py is neither in $SLURM_SUBMIT_DIR nor in its examples/" >&2; exit 1; }
python=${PYTHON:-python3}
"$python" -c 'import torch' || { echo "no Python with torch: python3 -m pip install torch, or PYTHON=... sbatch ..." >&2; exit 1; }

# The first node is where the ranks meet. Virtual nodes share one machine and have no address of their own.
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
if ! getent hosts "$MASTER_ADDR" >/dev/null; then
    MASTER_ADDR=127.0.0.1
    export GLOO_SOCKET_IFNAME=lo
    local_address=--local-addr=127.0.0.1
fi
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
export MASTER_ADDR MASTER_PORT

if [ "${1:-}" = torchrun ]; then
    srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 "$python" -m torch.distributed.run \
        --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="$SLURM_NTASKS_PER_NODE" --rdzv-id="$SLURM_JOB_ID" \
        --rdzv-backend=c10d --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT" ${local_address:-} "$folder/train_ddp.py"
else
    srun "$python" "$folder/train_ddp.py"
fi
