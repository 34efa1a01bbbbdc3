#!/bin/bash
#SBATCH --job-name=fails
#SBATCH --time=1:00

# Ends with exit code 3: sacct shows FAILED and 3:0.

echo "reading the data"
echo "error: no such file: train.csv" >&2
exit 3
