//! The body of an invocation to images.

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use hyper::body::Bytes;

use super::fault::Fault;
use super::multipart;
use super::wire::InvocationRequest;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The file's content.
    Bytes(Bytes),
    /// To be fetched from there.
    Url(String),
}

/// What `Content-Type` says of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum BodyType {
    /// One image; its content tells the format.
    Image,
    /// An [`InvocationRequest`].
    Json,
    /// `multipart/form-data`, with the boundary that this header names.
    Multipart(HeaderValue),
}

impl BodyType {
    /// Without the header a body is an image.
    ///
    /// # Errors
    /// [`Fault::UnsupportedType`]
    pub fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|it| *it != "identity") {
            let encoding = String::from_utf8_lossy(encoding.as_bytes());
            return Err(Fault::UnsupportedType(format!("with Content-Encoding {encoding}")));
        }
        let Some(header) = headers.get(CONTENT_TYPE) else { return Ok(BodyType::Image) };
        let unsupported =
            || Fault::UnsupportedType(String::from_utf8_lossy(header.as_bytes()).into_owned());
        let text = header.to_str().map_err(|_| unsupported())?;
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "image/jpeg"
            | "image/jpg"
            | "image/png"
            | "image/webp"
            | "image/gif"
            | "image/bmp"
            | "image/tiff"
            | "application/x-image"
            | "application/octet-stream" => Ok(BodyType::Image),
            "application/json" => Ok(BodyType::Json),
            "multipart/form-data" => Ok(BodyType::Multipart(header.clone())),
            _ => Err(unsupported()),
        }
    }
}

/// The images that a body holds or names: at least one, at most `max_instances`.
///
/// # Errors
/// [`Fault::BadRequest`] which says what is wrong.
pub async fn images(
    body_type: &BodyType,
    body: Bytes,
    max_instances: usize,
) -> Result<Vec<Source>, Fault> {
    let sources = match body_type {
        _ if body.is_empty() => {
            return Err(Fault::BadRequest("the body is empty: send an image".into()));
        }
        BodyType::Image => vec![Source::Bytes(body)],
        BodyType::Json => from_json(&body, max_instances)?,
        BodyType::Multipart(header) => multipart::images(header, body, max_instances).await?,
    };
    require_count(sources.len(), max_instances)?;
    Ok(sources)
}

/// The same count for every kind of body.
pub(super) fn require_count(num_images: usize, max_instances: usize) -> Result<(), Fault> {
    if num_images == 0 {
        return Err(Fault::BadRequest("the request holds no image".into()));
    }
    if num_images > max_instances {
        return Err(Fault::BadRequest(format!(
            "the request holds more than {max_instances} images, which is the limit: send several"
        )));
    }
    Ok(())
}

fn from_json(body: &[u8], max_instances: usize) -> Result<Vec<Source>, Fault> {
    let request: InvocationRequest = serde_json::from_slice(body).map_err(|error| {
        Fault::BadRequest(format!(
            "the body is not the JSON that is expected, {{\"url\": ...}}, {{\"image\": base64}} or \
             {{\"instances\": [...]}}: {error}"
        ))
    })?;
    let InvocationRequest { url, image, instances } = request;
    match (url, image, instances) {
        (None, None, Some(instances)) => {
            require_count(instances.len(), max_instances)?;
            let instances = instances.into_iter().enumerate();
            instances
                .map(|(index, instance)| {
                    source(instance.url, instance.image, &format!("instances[{index}]"))
                })
                .collect()
        }
        (url, image, None) => Ok(vec![source(url, image, "the body")?]),
        _ => Err(Fault::BadRequest(
            "the body must have one of \"url\", \"image\" and \"instances\", and no other".into(),
        )),
    }
}

fn source(url: Option<String>, image: Option<String>, place: &str) -> Result<Source, Fault> {
    match (url, image) {
        (Some(url), None) => Ok(Source::Url(url)),
        (None, Some(image)) => decode_base64(&image).map(Source::Bytes).map_err(|error| {
            Fault::BadRequest(format!("\"image\" of {place} is no base64: {error}"))
        }),
        _ => Err(Fault::BadRequest(format!(
            "{place} must have either \"url\" or \"image\", the file's content in base64"
        ))),
    }
}

/// Also as a `data:` address, and as MIME breaks it into lines.
fn decode_base64(text: &str) -> Result<Bytes, base64::DecodeError> {
    let digits = match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((_, digits)) => digits,
        None => text,
    };
    let bytes = if digits.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(digits)
    } else {
        BASE64.decode(digits)
    };
    bytes.map(Bytes::from)
}

/// As clients write it.
#[must_use]
pub fn encode_base64(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Vec<Source>, Fault> {
        from_json(json.as_bytes(), 3)
    }

    #[test]
    fn json_names_images_in_three_ways() {
        let bytes = |text: &'static str| Source::Bytes(Bytes::from(text));
        let url = Source::Url("http://example.org/a.jpg".into());
        assert_eq!(parse(r#"{"url": "http://example.org/a.jpg"}"#), Ok(vec![url.clone()]));
        assert_eq!(parse(r#"{"image": "aGVsbG8="}"#), Ok(vec![bytes("hello")]));
        assert_eq!(parse(r#"{"image": "aGVs\nbG8"}"#), Ok(vec![bytes("hello")]));
        let data = r#"{"image": "data:image/png;base64,aGVsbG8="}"#;
        assert_eq!(parse(data), Ok(vec![bytes("hello")]));
        let several = r#"{"instances": [{"image": "YQ=="}, {"url": "http://example.org/a.jpg"}]}"#;
        assert_eq!(parse(several), Ok(vec![bytes("a"), url]));
    }

    #[test]
    fn what_is_wrong_with_json_is_said() {
        for (json, words) in [
            ("", "EOF"),
            ("[]", "either \"url\" or \"image\""),
            ("{}", "either \"url\" or \"image\""),
            (r#"{"url": "a", "image": "b"}"#, "either \"url\" or \"image\""),
            (r#"{"url": "a", "instances": []}"#, "and no other"),
            (r#"{"url": 5}"#, "expected a string"),
            (r#"{"image": "*"}"#, "no base64"),
            (r#"{"instances": []}"#, "no image"),
            (r#"{"instances": [{"image": "YQ=="}, {}]}"#, "instances[1]"),
            (r#"{"instances": [{}, {}, {}, {}]}"#, "more than 3 images"),
        ] {
            let Err(Fault::BadRequest(message)) = parse(json) else { panic!("{json}") };
            assert!(message.contains(words), "{json}: {message}");
        }
    }
}
