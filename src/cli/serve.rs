//! `ec2train serve`

use std::net::SocketAddr;

use crate::error::Result;
use crate::job::Job;
use crate::serving::{self, ServeOptions};

pub fn run(job: &Job, address: SocketAddr) -> Result<()> {
    serving::run(&ServeOptions::new(address, job))
}
