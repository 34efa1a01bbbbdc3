"""Data-parallel training with PyTorch: DistributedDataParallel over gloo, on CPUs (say nccl and .cuda() for GPUs).

A task of a step is a rank: SLURM_PROCID, SLURM_NTASKS and SLURM_LOCALID say which. Under torchrun, RANK, WORLD_SIZE and LOCAL_RANK
do. MASTER_ADDR and MASTER_PORT, where rank 0 is, come from the job script.
"""

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STEPS, BATCH = 60, 32


def rank_and_size() -> tuple[int, int]:
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if rank in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def main() -> None:
    rank, size = rank_and_size()
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    torch.set_num_threads(int(os.environ.get("SLURM_CPUS_PER_TASK", "1")))
    dist.init_process_group("gloo", rank=rank, world_size=size)

    torch.manual_seed(7)  # the same first weights everywhere, and the same line to be learned
    model = DistributedDataParallel(nn.Linear(4, 1))
    wanted = torch.tensor([[1.0], [-2.0], [3.0], [0.5]])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    samples = torch.Generator().manual_seed(100 + rank)  # each rank has data of its own
    for _ in range(STEPS):
        inputs = torch.randn(BATCH, 4, generator=samples)
        loss = nn.functional.mse_loss(model(inputs), inputs @ wanted)
        optimizer.zero_grad()
        loss.backward()  # here the gradients of all ranks are averaged
        optimizer.step()

    total = loss.detach().clone()
    dist.all_reduce(total)
    print(
        f"rank {rank} of {size} on {os.environ.get('SLURMD_NODENAME', 'this machine')}: loss {loss.item():.6f}",
        flush=True,
    )
    if rank == 0:
        print(f"trained on {size} ranks, mean loss {total.item() / size:.6f}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
