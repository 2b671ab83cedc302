"""One rank of a group in which another one is Rust's: the calls of scripts/exchange.rs."""

import datetime
import os

import torch
import torch.distributed as dist

LEN = 1 << 20
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
rank, world_size = dist.get_rank(), dist.get_world_size()


def pattern(rank):
    return ((torch.arange(LEN) * 31 + rank * 97) % 251).to(torch.uint8)


own = pattern(rank)
gathered = [torch.empty(LEN, dtype=torch.uint8) for _ in range(world_size)]
dist.all_gather(gathered, own)
assert all(torch.equal(found, pattern(of)) for of, found in enumerate(gathered))
at_root = [torch.empty(LEN, dtype=torch.uint8) for _ in range(world_size)] if rank == 0 else None
dist.gather(own, at_root, dst=0)
assert rank != 0 or all(torch.equal(found, pattern(of)) for of, found in enumerate(at_root))
for root in range(world_size):
    found = own.clone()
    dist.broadcast(found, root)
    assert torch.equal(found, pattern(root))

# The store below the prefixes that Python puts before its own keys.
store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
store.set(f"python/{rank}", "from Python")
assert store.get(f"rust/{1 - rank}") == b"from Rust"
print(f"rank {rank} of {world_size} in Python {torch.__version__}: {LEN} bytes exchanged, all as expected")
last = [torch.empty(1, dtype=torch.uint8) for _ in range(world_size)]
dist.all_gather(last, torch.zeros(1, dtype=torch.uint8))
dist.destroy_process_group()
