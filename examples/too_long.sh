#!/bin/bash
#SBATCH --job-name=too_long
#SBATCH --time=0:02
#SBATCH --signal=B:USR1@1

# Wants more time than it asked for: sacct shows TIMEOUT. A second before the end it gets SIGUSR1, time for a checkpoint.

trap 'echo "one second left: saving a checkpoint"' USR1
echo "training for an hour"
sleep 3600 &
while ! wait; do :; done
