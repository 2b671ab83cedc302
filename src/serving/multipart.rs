//! `multipart/form-data` to images.

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use hyper::body::Bytes;

use super::fault::Fault;
use super::request::{Source, require_count};

/// Every part that is a file, or is called `image` or `file`, is an image; `url` is an address.
pub(super) async fn images(
    content_type: &HeaderValue,
    body: Bytes,
    max_instances: usize,
) -> Result<Vec<Source>, Fault> {
    let mut request = Request::new(Body::from(body));
    request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    let mut parts = Multipart::from_request(request, &()).await.map_err(|error| {
        Fault::BadRequest(format!("the form cannot be read: {}", error.body_text()))
    })?;
    let unreadable = |error: axum::extract::multipart::MultipartError| {
        Fault::BadRequest(format!("the form cannot be read: {}", error.body_text()))
    };
    let mut sources = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        let name = part.name().unwrap_or_default().to_owned();
        let is_image = part.file_name().is_some() || name == "image" || name == "file";
        match name.as_str() {
            _ if is_image => sources.push(Source::Bytes(part.bytes().await.map_err(unreadable)?)),
            "url" => sources.push(Source::Url(part.text().await.map_err(unreadable)?)),
            _ => {
                return Err(Fault::BadRequest(format!(
                    "the form has a part {name:?}: send files, or parts called \"image\" or \"url\""
                )));
            }
        }
        require_count(sources.len(), max_instances)?;
    }
    Ok(sources)
}
