#!/bin/bash
#SBATCH --job-name=hello
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --time=1:00

# Says hello from every task:  sbatch examples/hello.sh

echo "job $SLURM_JOB_ID has $SLURM_JOB_NUM_NODES nodes: $SLURM_JOB_NODELIST"
srun --label bash -c 'echo "task $SLURM_PROCID of $SLURM_NTASKS on $SLURMD_NODENAME"'
