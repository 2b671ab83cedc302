//! `GET /ping`

use std::sync::Arc;
use std::time::Duration;

use ec2train::serving::model::{Model, ModelInfo, Worker};
use ec2train::serving::wire::ModelDescription;

use super::client::read_head;
use super::fake_model::{FAILING, FakeModel};
use super::server::{Server, options};

#[test]
fn it_is_503_until_a_model_is_there_that_answers() {
    let server = Server::without_model(options(), None);
    let reply = server.client.get("/ping");
    assert_eq!(reply.kind(), (503, "not_ready".into()));
    assert_eq!(server.client.invoke("image/jpeg", b"word").kind(), (503, "not_ready".into()));
    assert!(server.service.set_model(Arc::new(NoNumbers::new())).is_err());
    assert_eq!(server.client.get("/ping").status, 503);
    server.load("first");
    assert_eq!(server.client.get("/ping").status, 200);
    // A bad one does not take the place of a good one.
    assert!(server.service.set_model(Arc::new(NoNumbers::new())).is_err());
    assert_eq!(server.client.get("/ping").status, 200);
    assert_eq!(server.client.invoke("image/jpeg", b"word").status, 200);
}

#[test]
fn it_is_503_while_the_model_does_not_answer_after_a_failure() {
    let mut impatient = options();
    impatient.limits.ping_timeout = Duration::from_millis(300);
    let server = Server::start(impatient);
    assert_eq!(server.client.get("/ping").status, 200);
    server.client.invoke("image/jpeg", FAILING.as_bytes());
    server.control.hold();
    let mut waiting = server.client.raw_invocation("word");
    server.control.wait_for_held(1);
    let reply = server.client.get("/ping");
    assert_eq!(reply.kind(), (503, "not_ready".into()));
    assert!(reply.text().contains("does not answer"), "{}", reply.text());
    server.control.release();
    assert!(read_head(&mut waiting).starts_with("HTTP/1.1 200"));
    assert_eq!(server.client.get("/ping").status, 200);
}

/// A model that was trained to nothing.
struct NoNumbers(Arc<ModelInfo>);

impl NoNumbers {
    fn new() -> Self {
        let info = FakeModel::shared("broken", &Arc::default()).info().clone();
        let description = ModelDescription { temperature: 1.0, ..info.description.clone() };
        NoNumbers(Arc::new(ModelInfo { description, class_names: info.class_names.clone() }))
    }
}

impl Model for NoNumbers {
    fn info(&self) -> &Arc<ModelInfo> {
        &self.0
    }

    fn worker(&self) -> Box<dyn Worker> {
        Box::new(NoNumbers(self.0.clone()))
    }
}

impl Worker for NoNumbers {
    fn push(&mut self, _: &[u8]) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn compute(&mut self) -> ec2train::Result<Vec<Vec<f32>>> {
        Ok(vec![vec![f32::NAN; 3]])
    }
}
