//! `POST /invocations` from its body to its answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::access_log::Work;
use super::answer::Format;
use super::body;
use super::fault::Fault;
use super::queue::{Computed, Failure, Full, Job, Outcome};
use super::request::{self, BodyType, Source};
use super::service::Service;

/// Passed back as it came.
const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
const BUSY: Fault = Fault::Overloaded("too many images wait already");

pub(super) async fn invocations(State(service): State<Arc<Service>>, request: Request) -> Response {
    let custom_attributes = request.headers().get(CUSTOM_ATTRIBUTES).cloned();
    let mut response = match answer(&service, request).await {
        Ok(response) => response,
        Err(fault) => {
            if matches!(fault, Fault::Overloaded(_)) {
                sleep(service.options.limits.refusal_pause).await;
            }
            fault.into_response()
        }
    };
    if let Some(attributes) = custom_attributes {
        response.headers_mut().insert(CUSTOM_ATTRIBUTES, attributes);
    }
    response
}

async fn answer(service: &Arc<Service>, request: Request) -> Result<Response, Fault> {
    let (parts, body) = request.into_parts();
    let limits = &service.options.limits;
    let admitted = BodyType::of(&parts.headers).and_then(|body_type| {
        let format = Format::negotiate(&parts.headers, parts.uri.query())?;
        if service.model().is_none() {
            return Err(Fault::NotReady("the model is being loaded"));
        }
        if service.queue.is_full() {
            return Err(BUSY);
        }
        Ok((body_type, format))
    });
    let (body_type, format) = match admitted {
        Ok(admitted) => admitted,
        Err(fault) => {
            body::discard(&parts.headers, body, limits).await;
            return Err(fault);
        }
    };
    let received = body::receive(&parts.headers, body, &service.bodies, limits).await?;
    let computing = async {
        let sources =
            request::images(&body_type, received.bytes.clone(), limits.max_instances).await?;
        classify(service, fetch_all(service, sources).await?).await
    };
    let predictions = timeout(limits.answer_timeout, computing)
        .await
        .unwrap_or(Err(Fault::SlowAnswer(limits.answer_timeout.as_secs())))?;
    let work = summary(&predictions);
    let mut response = format.write(predictions)?;
    response.extensions_mut().insert(work);
    Ok(response)
}

/// Fetches what is named by its address.
async fn fetch_all(service: &Arc<Service>, sources: Vec<Source>) -> Result<Vec<Bytes>, Fault> {
    let fetches: Vec<_> =
        sources.into_iter().map(|source| fetch(service.clone(), source)).collect();
    let mut images = Vec::with_capacity(fetches.len());
    for fetch in fetches {
        images.push(fetch.await?);
    }
    Ok(images)
}

async fn fetch(service: Arc<Service>, source: Source) -> Result<Bytes, Fault> {
    let url = match source {
        Source::Bytes(bytes) => return Ok(bytes),
        Source::Url(url) => url,
    };
    let Some(fetcher) = service.fetcher.clone() else {
        return Err(Fault::UrlRefused(
            "this server does not fetch images: send the image itself".into(),
        ));
    };
    // Never closed.
    let permit = service.fetches.clone().acquire_owned().await.map_err(|_| Fault::Internal)?;
    let fetching = spawn_blocking(move || {
        let _permit = permit;
        fetcher.fetch(&url)
    });
    fetching.await.map_err(|_| Fault::Internal)?
}

/// Has the workers classify `images`: all of them or none.
async fn classify(service: &Service, images: Vec<Bytes>) -> Result<Vec<Computed>, Fault> {
    let num_images = images.len();
    let queued_at = Instant::now();
    let mut receivers = Vec::with_capacity(num_images);
    let mut jobs = Vec::with_capacity(num_images);
    for image in images {
        let (reply, receiver) = oneshot::channel();
        jobs.push(Job { image, reply, queued_at });
        receivers.push(receiver);
    }
    service.queue.push(jobs).map_err(|Full| BUSY)?;
    let mut predictions = Vec::with_capacity(num_images);
    for (index, receiver) in receivers.into_iter().enumerate() {
        let place = if num_images > 1 { format!("image {index}: ") } else { String::new() };
        predictions.push(unwrap_outcome(receiver.await.ok(), &place)?);
    }
    Ok(predictions)
}

/// No outcome: the worker was lost.
fn unwrap_outcome(outcome: Option<Outcome>, place: &str) -> Result<Computed, Fault> {
    match outcome {
        Some(Ok(computed)) => Ok(computed),
        Some(Err(Failure::Undecodable(reason))) => {
            Err(Fault::UndecodableImage(format!("{place}{reason}")))
        }
        Some(Err(Failure::Internal)) | None => Err(Fault::Internal),
    }
}

fn summary(predictions: &[Computed]) -> Work {
    let longest = |duration: fn(&Computed) -> std::time::Duration| {
        predictions.iter().map(duration).max().unwrap_or_default().as_secs_f64() * 1e3
    };
    Work {
        images: predictions.len(),
        queue_ms: longest(|image| image.waited),
        compute_ms: longest(|image| image.took),
        batch: predictions.iter().map(|image| image.batch).max().unwrap_or_default(),
    }
}
