//! In the place of c10d where the program is built without libtorch.

use std::convert::Infallible;
use std::time::Duration;

use super::Endpoint;
use crate::error::{Error, Result};

/// Cannot be had.
#[derive(Debug)]
pub struct Store(Infallible);

/// Cannot be had.
#[derive(Debug)]
pub struct Group(Infallible);

#[expect(missing_docs, clippy::missing_errors_doc, reason = "see libtorch.rs")]
impl Store {
    pub fn connect(_: &Endpoint) -> Result<Self> {
        Err(Error::Usage {
            reason: "this build cannot train on several machines: it has been built without the \
                     feature `torch`"
                .into(),
            remedy: "`cargo build --release` builds the program with it.".into(),
        })
    }

    pub fn set(&self, _: &str, _: &[u8]) -> Result<()> {
        match self.0 {}
    }

    pub fn set_if_absent(&self, _: &str, _: &[u8]) -> Result<Vec<u8>> {
        match self.0 {}
    }

    pub fn is_set(&self, _: &str) -> Result<bool> {
        match self.0 {}
    }

    pub fn get(&self, _: &[String]) -> Result<Vec<Vec<u8>>> {
        match self.0 {}
    }
}

#[expect(missing_docs, clippy::missing_errors_doc, reason = "see libtorch.rs")]
impl Group {
    pub fn connect(
        store: &Store,
        _: &str,
        _: usize,
        _: usize,
        _: Option<&str>,
        _: Duration,
    ) -> Result<Self> {
        match store.0 {}
    }

    pub fn num_ranks(&self) -> usize {
        match self.0 {}
    }

    pub fn all_gather(&self, _: &[u8]) -> Result<Vec<u8>> {
        match self.0 {}
    }

    pub fn gather(&self, _: &[u8], _: usize) -> Result<Vec<u8>> {
        match self.0 {}
    }

    pub fn broadcast(&self, _: &mut [u8], _: usize) -> Result<()> {
        match self.0 {}
    }
}
