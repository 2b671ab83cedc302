//! A server as a process.

use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::thread;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::listener::serve;
use super::options::ServeOptions;
use super::reload;
use super::service::Service;
use crate::artifact::Standing;
use crate::error::{Error, Result};
use crate::run::signals::StopReason;

/// For connections: what computes has threads of its own, from which these would take the cores when
/// clients storm.
const NUM_IO_THREADS: usize = 1;

/// Serves the model in `options.model_dir` until SIGTERM or SIGINT, and finishes what is in flight
/// then. A second signal ends the process at once.
///
/// # Errors
/// [`Error::Listen`] when the address cannot be had; as [`crate::artifact::load`] when there is no
/// model that can be served.
pub fn run(options: &ServeOptions) -> Result<()> {
    raise_file_limit();
    let runtime = Builder::new_multi_thread()
        .worker_threads(NUM_IO_THREADS)
        .thread_name("connections")
        .enable_all()
        .build()
        .map_err(|error| Error::Internal(format!("cannot start threads: {error}")))?;
    runtime.block_on(listen(options.clone()))
}

async fn listen(options: ServeOptions) -> Result<()> {
    let address = options.address;
    let unheard = |source| Error::Listen { address, source };
    let refused = |error| Error::Internal(format!("cannot watch for signals: {error}"));
    let terminated = signal(SignalKind::terminate()).map_err(refused)?;
    let interrupted = signal(SignalKind::interrupt()).map_err(refused)?;
    let listener = TcpListener::bind(address).await.map_err(unheard)?;
    let address = listener.local_addr().map_err(unheard)?;
    log::info!("listening on http://{address}; the model is being loaded");

    let service = Service::new(options, true);
    let (sender, failed) = oneshot::channel();
    let loading = service.clone();
    thread::Builder::new()
        .name("model".into())
        .spawn(move || match reload::load(&loading) {
            Ok(standing) => serve_on(&loading, standing, address),
            // Listened to until the end.
            Err(error) => drop(sender.send(error)),
        })
        .map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?;

    let mut error = None;
    let shutdown = async {
        tokio::select! {
            () = stop(terminated, interrupted) => {}
            Ok(failure) = failed => error = Some(failure),
        }
    };
    let num_unfinished = serve(listener, service, shutdown).await;
    if num_unfinished > 0 {
        log::warn!("{num_unfinished} connections were not finished in time");
    }
    error.map_or(Ok(()), Err)
}

fn serve_on(service: &Arc<Service>, standing: Standing, address: SocketAddr) {
    log::info!("ready: POST images to http://{address}/invocations");
    reload::watch(service, standing);
}

/// Waits for a signal; the next one ends the process.
async fn stop(mut terminated: Signal, mut interrupted: Signal) {
    let first = next(&mut terminated, &mut interrupted).await;
    log::info!("{}: stopping", first.name());
    tokio::spawn(async move {
        let second = next(&mut terminated, &mut interrupted).await;
        process::exit(second.exit_code().into())
    });
}

async fn next(terminated: &mut Signal, interrupted: &mut Signal) -> StopReason {
    tokio::select! {
        _ = terminated.recv() => StopReason::Terminate,
        _ = interrupted.recv() => StopReason::Interrupt,
    }
}

/// Every connection takes a file descriptor, and many systems begin with 1024.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Less is enough for most.
    let _ = setrlimit(Resource::Nofile, limit);
}
