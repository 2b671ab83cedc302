//! What is sent to the endpoint: `POST /invocations` of the model's container.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::failure::Failure;

/// What a SageMaker endpoint takes in one call, 6 MB:
/// <https://docs.aws.amazon.com/general/latest/gr/sagemaker.html>.
pub const MAX_BODY_BYTES: u64 = 6 * 1024 * 1024;
/// Longer addresses are no addresses of images.
const MAX_URL_BYTES: usize = 2048;

/// The original's answer: `[[logits]]`.
pub const LOGITS: &str = "application/json";
/// The five most likely classes with names and probabilities.
pub const VERBOSE: &str = "application/json; verbose=true";

/// One call of the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `application/json` or an image's.
    pub content_type: String,
    /// [`LOGITS`], [`VERBOSE`], or what an HTTP client asks for.
    pub accept: String,
    /// As it is sent.
    pub body: Vec<u8>,
}

/// What the endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As the container said.
    pub content_type: String,
    /// As it came.
    pub body: Vec<u8>,
}

impl Request {
    /// `{"url": ...}`: the container fetches the image, and decides which addresses it dares to.
    ///
    /// # Errors
    /// [`Failure::BadEvent`] for what is no http or https address.
    pub fn of_url(url: &str, accept: &str) -> Result<Request, Failure> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) || url.len() > MAX_URL_BYTES {
            return Err(Failure::BadEvent(format!(
                "\"url\" must be the http or https address of an image, of at most {MAX_URL_BYTES} bytes"
            )));
        }
        Ok(Request {
            content_type: "application/json".to_owned(),
            accept: accept.to_owned(),
            body: serde_json::json!({ "url": url }).to_string().into_bytes(),
        })
    }

    /// An image's bytes; their first ones tell the content type, the container has the last word.
    ///
    /// # Errors
    /// [`Failure::BadEvent`] without a byte, [`Failure::TooLarge`].
    pub fn of_image(image: Vec<u8>, accept: &str) -> Result<Request, Failure> {
        let content_type = match image::guess_format(&image) {
            Ok(
                format @ (image::ImageFormat::Jpeg
                | image::ImageFormat::Png
                | image::ImageFormat::WebP),
            ) => format.to_mime_type(),
            _ => "application/octet-stream",
        };
        Request::of_body(image, content_type, accept)
    }

    /// Bytes with the content type that the sender gave them.
    ///
    /// # Errors
    /// [`Failure::BadEvent`] without a byte, [`Failure::TooLarge`].
    pub fn of_body(body: Vec<u8>, content_type: &str, accept: &str) -> Result<Request, Failure> {
        if body.is_empty() {
            return Err(Failure::BadEvent("the image is empty".to_owned()));
        }
        check_size(body.len() as u64)?;
        Ok(Request { content_type: content_type.to_owned(), accept: accept.to_owned(), body })
    }
}

/// # Errors
/// [`Failure::TooLarge`] above [`MAX_BODY_BYTES`].
pub fn check_size(num_bytes: u64) -> Result<(), Failure> {
    if num_bytes > MAX_BODY_BYTES {
        return Err(Failure::TooLarge { num_bytes, limit: MAX_BODY_BYTES });
    }
    Ok(())
}

/// Decodes what `name` holds.
///
/// # Errors
/// [`Failure::BadEvent`] for what is no base64.
pub fn decode_base64(text: &str, name: &str) -> Result<Vec<u8>, Failure> {
    BASE64
        .decode(text.trim_ascii())
        .map_err(|error| Failure::BadEvent(format!("{name} is no base64: {error}")))
}

/// The other way.
pub fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}
