//! A server in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ec2train::job::Job;
use ec2train::serving::fetch_url::UrlFetcher;
use ec2train::serving::{self, ServeOptions, Service};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::client::Client;
use super::fake_model::{Control, FakeModel};

pub struct Server {
    pub client: Client,
    pub service: Arc<Service>,
    pub control: Arc<Control>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<usize>>,
}

/// One worker, so that tests know what it does.
pub fn options() -> ServeOptions {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = ServeOptions { num_workers: 1, ..ServeOptions::new(address, &Job::real()) };
    options.limits.refusal_pause = Duration::ZERO;
    options
}

impl Server {
    pub fn start(options: ServeOptions) -> Self {
        let server = Server::without_model(options, None);
        server.load("first");
        server
    }

    pub fn without_model(options: ServeOptions, fetcher: Option<UrlFetcher>) -> Self {
        let service = Service::with_fetcher(options, fetcher, false);
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, bound) = std::sync::mpsc::channel();
        let served = service.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                serving::serve(listener, served, async { drop(stopped.await) }).await
            })
        });
        let client = Client::new(bound.recv().unwrap());
        let control = Arc::default();
        Server { client, service, control, stop: Some(stop), thread: Some(thread) }
    }

    pub fn load(&self, id: &str) {
        self.service.set_model(FakeModel::shared(id, &self.control)).unwrap();
    }

    /// As SIGTERM does.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Connections that were not finished in time.
    pub fn join(&mut self) -> usize {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.release();
        self.service.close();
    }
}
