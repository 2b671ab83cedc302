//! c10d as it is in libtorch: the seam between Rust and its store and process group.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::{Endpoint, Group, Store};
use crate::error::{Error, Result};
use crate::seam::checked;

/// As failures name it.
const LIBRARY: &str = "c10d";

/// A store or a group on the C++ side.
#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

type Sink = unsafe extern "C" fn(context: *mut c_void, bytes: *const u8, len: usize);

// native/c10d.cpp
unsafe extern "C" {
    fn ec2train_c10d_connect(
        host: *const c_char,
        port: u16,
        is_server: bool,
        num_workers: usize,
        timeout_ms: i64,
        store: *mut *mut Opaque,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_set(
        store: *const Opaque,
        key: *const c_char,
        bytes: *const u8,
        len: usize,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_set_if_absent(
        store: *const Opaque,
        key: *const c_char,
        bytes: *const u8,
        len: usize,
        sink: Sink,
        context: *mut c_void,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_is_set(
        store: *const Opaque,
        key: *const c_char,
        is_set: *mut bool,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_get(
        store: *const Opaque,
        keys: *const *const c_char,
        num_keys: usize,
        sink: Sink,
        context: *mut c_void,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_group(
        store: *const Opaque,
        prefix: *const c_char,
        rank: c_int,
        num_ranks: c_int,
        address: *const c_char,
        timeout_ms: i64,
        group: *mut *mut Opaque,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_all_gather(
        group: *const Opaque,
        bytes: *const u8,
        len: usize,
        out: *mut u8,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_gather(
        group: *const Opaque,
        bytes: *const u8,
        len: usize,
        root: c_int,
        out: *mut u8,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_c10d_broadcast(
        group: *const Opaque,
        bytes: *mut u8,
        len: usize,
        root: c_int,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
}

/// A `TCPStore`.
#[derive(Debug)]
pub struct LibtorchStore(NonNull<Opaque>);

// SAFETY: c10d's stores take a lock for every request and are bound to no thread.
unsafe impl Send for LibtorchStore {}

impl LibtorchStore {
    /// As [`connect`](super::connect).
    ///
    /// # Errors
    /// [`Error::Internal`] with what c10d says.
    pub fn connect(endpoint: &Endpoint) -> Result<Self> {
        let host = c_string(endpoint.host)?;
        let mut store = ptr::null_mut();
        // SAFETY: `host` ends with a zero and lives through the call.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_connect(
                host.as_ptr(),
                endpoint.port,
                endpoint.is_server,
                endpoint.num_workers.unwrap_or(0),
                milliseconds(endpoint.timeout),
                &mut store,
                message,
                capacity,
            )
        })?;
        owned(store).map(LibtorchStore)
    }
}

impl Store for LibtorchStore {
    fn set(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let key = c_string(key)?;
        // SAFETY: the store is never freed; `key` and `bytes` live through the call.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_set(
                self.0.as_ptr(),
                key.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                message,
                capacity,
            )
        })
    }

    fn set_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let key = c_string(key)?;
        let mut there: Vec<Vec<u8>> = Vec::new();
        // SAFETY: as in `set`; `keep` is given the list that it expects.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_set_if_absent(
                self.0.as_ptr(),
                key.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                keep,
                (&raw mut there).cast(),
                message,
                capacity,
            )
        })?;
        Ok(there.pop().unwrap_or_default())
    }

    fn is_set(&self, key: &str) -> Result<bool> {
        let key = c_string(key)?;
        let mut is_set = false;
        // SAFETY: as in `set`.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_is_set(self.0.as_ptr(), key.as_ptr(), &mut is_set, message, capacity)
        })?;
        Ok(is_set)
    }

    fn get(&self, keys: &[String]) -> Result<Vec<Vec<u8>>> {
        let keys = keys.iter().map(|key| c_string(key)).collect::<Result<Vec<CString>>>()?;
        let pointers: Vec<*const c_char> = keys.iter().map(|key| key.as_ptr()).collect();
        let mut values: Vec<Vec<u8>> = Vec::new();
        // SAFETY: as in `set_if_absent`.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_get(
                self.0.as_ptr(),
                pointers.as_ptr(),
                pointers.len(),
                keep,
                (&raw mut values).cast(),
                message,
                capacity,
            )
        })?;
        Ok(values)
    }

    fn group(
        &self,
        prefix: &str,
        rank: usize,
        num_ranks: usize,
        address: Option<&str>,
        timeout: Duration,
    ) -> Result<Box<dyn Group>> {
        let prefix = c_string(prefix)?;
        let address = address.map(c_string).transpose()?;
        let mut group = ptr::null_mut();
        // SAFETY: the store is never freed; the strings live through the call.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_group(
                self.0.as_ptr(),
                prefix.as_ptr(),
                int(rank),
                int(num_ranks),
                address.as_ref().map_or(ptr::null(), |address| address.as_ptr()),
                milliseconds(timeout),
                &mut group,
                message,
                capacity,
            )
        })?;
        let pointer = owned(group)?;
        Ok(Box::new(LibtorchGroup { pointer, num_ranks }))
    }
}

/// A `ProcessGroupGloo`.
#[derive(Debug)]
struct LibtorchGroup {
    pointer: NonNull<Opaque>,
    num_ranks: usize,
}

// SAFETY: c10d's process groups are bound to no thread.
unsafe impl Send for LibtorchGroup {}

impl Group for LibtorchGroup {
    fn num_ranks(&self) -> usize {
        self.num_ranks
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; self.num_ranks * bytes.len()];
        // SAFETY: the group is never freed; `out` has room for all ranks' bytes. The call returns
        // when they are no longer used.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_all_gather(
                self.pointer.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                out.as_mut_ptr(),
                message,
                capacity,
            )
        })?;
        Ok(out)
    }

    fn gather(&self, bytes: &[u8], root: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; self.num_ranks * bytes.len()];
        // SAFETY: as in `all_gather`.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_gather(
                self.pointer.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                int(root),
                out.as_mut_ptr(),
                message,
                capacity,
            )
        })?;
        Ok(out)
    }

    fn broadcast(&self, bytes: &mut [u8], root: usize) -> Result<()> {
        // SAFETY: as in `all_gather`.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_c10d_broadcast(
                self.pointer.as_ptr(),
                bytes.as_mut_ptr(),
                bytes.len(),
                int(root),
                message,
                capacity,
            )
        })
    }
}

/// Adds a copy of the bytes to the list at `context`.
unsafe extern "C" fn keep(context: *mut c_void, bytes: *const u8, len: usize) {
    // SAFETY: `context` is the list that the caller above lent for the call.
    let values = unsafe { &mut *context.cast::<Vec<Vec<u8>>>() };
    let bytes = if len == 0 {
        &[]
    } else {
        // SAFETY: `bytes` are `len` bytes of a vector that lives through the call.
        unsafe { std::slice::from_raw_parts(bytes, len) }
    };
    values.push(bytes.to_vec());
}

fn owned(pointer: *mut Opaque) -> Result<NonNull<Opaque>> {
    NonNull::new(pointer).ok_or_else(|| Error::Internal("c10d gave nothing".into()))
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Internal(format!("{text:?} has a zero in it")))
}

fn milliseconds(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}

fn int(rank: usize) -> c_int {
    rank.try_into().unwrap_or(c_int::MAX)
}
