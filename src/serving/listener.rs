//! Connections from their beginning to their end.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use super::http;
use super::service::Service;

/// Of a request's head, and of what is read ahead of its body.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// When the system has no more file descriptors or memory for a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// To a connection too many.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\
                      connection: close\r\n\r\n";

/// Serves until `shutdown` is done, then finishes what is in flight. Returns how many connections
/// were still at work when the time for that was up.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let limits = &service.options.limits;
    let router = http::router(service.clone());
    let free = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = free.clone().try_acquire_owned() else {
            refuse(stream, limits.transfer_timeout);
            continue;
        };
        // Answers are small; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.transfer_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(MAX_BUFFER_BYTES)
            .serve_connection(
                TokioIo::new(Box::pin(stream)),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        let open = Open::new(service.clone(), permit);
        tokio::spawn(async move {
            let _open = open;
            // The client went away, was too slow, or did not speak HTTP.
            if let Err(error) = connection.await {
                log::debug!("a connection ended: {error}");
            }
        });
    }
    drop(listener);
    service.drain();
    let num_open = graceful.count();
    log::info!("no longer listening; finishing {num_open} connections");
    tokio::select! {
        () = graceful.shutdown() => 0,
        () = sleep(limits.drain_timeout) => {
            limits.max_connections - free.available_permits()
        }
    }
}

/// Says so instead of leaving a client to wait.
fn refuse(mut stream: TcpStream, limit: Duration) {
    tokio::spawn(async move {
        // The client may be gone.
        let _ = timeout(limit, stream.write_all(BUSY)).await;
    });
}

/// A connection as long as it is open.
struct Open {
    service: Arc<Service>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(service: Arc<Service>, permit: OwnedSemaphorePermit) -> Self {
        service.metrics.connections.inc();
        Open { service, _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.service.metrics.connections.dec();
    }
}
