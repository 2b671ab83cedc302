//! `ec2train bench`

use super::{print, print_json};
use crate::bench::{self, Plan};
use crate::config::BENCH_CSV;
use crate::error::Result;

pub fn run(json: bool, save: bool) -> Result<()> {
    let report = bench::run(&Plan::default(), |stage| log::info!("measuring: {stage}"))?;
    if json {
        print_json(&report)?;
    } else {
        print(&report.table())?;
    }
    if save {
        bench::append(BENCH_CSV.as_ref(), &report)?;
        log::info!("appended to {BENCH_CSV}");
    }
    Ok(())
}
