#!/bin/bash
#SBATCH --job-name=array
#SBATCH --array=1-8%4
#SBATCH --time=1:00
#SBATCH --output=array-%A_%a.out

# Eight jobs that differ in one number, four of them at a time:  sbatch examples/array.sh

rates=(0 0.1 0.05 0.02 0.01 0.005 0.002 0.001 0.0005)
echo "element $SLURM_ARRAY_TASK_ID of job $SLURM_ARRAY_JOB_ID: learning rate ${rates[$SLURM_ARRAY_TASK_ID]}"
