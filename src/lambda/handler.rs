//! From an event to the reply, whatever stands behind the two calls.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::event::{Event, Object, Source};
use super::failure::Failure;
use super::reply::{object_result, preflight, reply};
use super::request::{Answer, Request, VERBOSE, check_size};

/// What is kept of an invocation's time to write the reply.
const MARGIN: Duration = Duration::from_millis(500);

/// The call of InvokeEndpoint.
pub trait Endpoint {
    /// Ends within `time_left`.
    fn invoke(
        &self,
        request: Request,
        time_left: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// The call of S3's GetObject.
pub trait ObjectStore {
    /// The object's bytes. Ends within `time_left`.
    fn get(
        &self,
        object: &Object,
        time_left: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, Failure>> + Send;
}

/// The function: made once, called for each event.
#[derive(Debug)]
pub struct Handler<E, S> {
    endpoint: E,
    objects: S,
}

impl<E: Endpoint, S: ObjectStore> Handler<E, S> {
    /// With the clients that all invocations share.
    pub fn new(endpoint: E, objects: S) -> Self {
        Handler { endpoint, objects }
    }

    /// The reply to `event`, before `deadline`. Failures are replies too, with a status of their own.
    ///
    /// # Errors
    /// For events of S3 alone: nobody reads the reply, but Lambda repeats a call that failed. So an
    /// object that may succeed later is an error, and one that never will is in the reply.
    pub async fn handle(&self, event: &Value, deadline: Instant) -> Result<Value, Failure> {
        let source = Source::of(event);
        let start = Instant::now();
        let request = match Event::parse(event) {
            Ok(Event::Direct(request) | Event::Http(request)) => request,
            Ok(Event::Preflight) => return Ok(preflight()),
            Ok(Event::Objects(objects)) => return self.handle_objects(&objects, deadline).await,
            Err(failure) => {
                log(source, start, json!({}), Some(&failure));
                return Ok(reply(source, "", &Err(failure)));
            }
        };
        let content_type = request.content_type.clone();
        let result = self.endpoint.invoke(request, time_left(deadline)).await;
        log(source, start, json!({}), result.as_ref().err());
        Ok(reply(source, &content_type, &result))
    }

    async fn handle_objects(
        &self,
        objects: &[Object],
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut results = Vec::with_capacity(objects.len());
        let mut to_repeat = None;
        for object in objects {
            let start = Instant::now();
            let result = self.classify(object, deadline).await;
            let line = object_result(object, &result);
            log(Source::Objects, start, line.clone(), result.as_ref().err());
            results.push(line);
            to_repeat = to_repeat.or(result.err().filter(|failure| !failure.is_the_callers()));
        }
        to_repeat.map_or(Ok(Value::Array(results)), Err)
    }

    async fn classify(&self, object: &Object, deadline: Instant) -> Result<Answer, Failure> {
        check_size(object.num_bytes)?;
        let image = self.objects.get(object, time_left(deadline)).await?;
        let request = Request::of_image(image, VERBOSE)?;
        self.endpoint.invoke(request, time_left(deadline)).await
    }
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN)
}

/// One JSON object a line, which CloudWatch's filters read: `{ $.level = "ERROR" }`.
fn log(source: Source, start: Instant, mut line: Value, failure: Option<&Failure>) {
    line["level"] = match failure {
        None => "INFO",
        Some(failure) if failure.is_the_callers() => "WARN",
        Some(_) => "ERROR",
    }
    .into();
    line["event"] = source.name().into();
    line["duration_ms"] = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).into();
    if let Some(failure) = failure {
        line["status"] = failure.status().into();
        line["error"] = json!({ "type": failure.kind(), "message": failure.to_string() });
    }
    // A closed stderr must not fail the call.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}
