//! One rank of a group in which others may be Python's: see scripts/distributed/exchange.py, which does
//! the same calls.
//!
//! `RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=29500 cargo run --example exchange`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ec2train::distributed::Topology;
use ec2train::distributed::c10d::{Endpoint, LibtorchStore, Store};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Where `torch.distributed.init_process_group("gloo")` looks for its peers in the store.
const PYTHONS_PREFIX: &str = "default_pg/0//cpu/";
const LEN: usize = 1 << 20;

fn main() -> Result<()> {
    let Topology { rank, world_size, master_addr, master_port, .. } = Topology::from_env()?;
    let store = LibtorchStore::connect(&Endpoint {
        host: &master_addr,
        port: master_port,
        is_server: rank == 0,
        num_workers: Some(world_size),
        timeout: TIMEOUT,
    })?;
    let address = Some("127.0.0.1");
    let group = store.group(PYTHONS_PREFIX, rank, world_size, address, TIMEOUT)?;

    let own = pattern(rank);
    let all: Vec<u8> = (0..world_size).flat_map(pattern).collect();
    ensure!(group.all_gather(&own)? == all, "all_gather gave other bytes");
    let gathered = group.gather(&own, 0)?;
    ensure!(rank != 0 || gathered == all, "gather gave other bytes");
    for root in 0..world_size {
        let mut bytes = own.clone();
        group.broadcast(&mut bytes, root)?;
        ensure!(bytes == pattern(root), "broadcast from {root} gave other bytes");
    }

    store.set(&format!("rust/{rank}"), b"from Rust")?;
    let other = store.get(&[format!("python/{}", 1 - rank)])?.pop().context("nothing is there")?;
    ensure!(other == b"from Python", "the store gave other bytes");
    println!("rank {rank} of {world_size} in Rust: {LEN} bytes exchanged, all as expected");
    // The store of rank 0 must not go before the other has read it.
    group.all_gather(&[0])?;
    Ok(())
}

/// `[LEN]` bytes that tell a rank's from another's.
fn pattern(rank: usize) -> Vec<u8> {
    (0..LEN).map(|index| ((index * 31 + rank * 97) % 251) as u8).collect()
}
