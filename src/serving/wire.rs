//! What goes over the wire as JSON, for the server and its clients.

use serde::{Deserialize, Serialize};

/// Body of `POST /invocations` with `Content-Type: application/json`: one of the three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InvocationRequest {
    /// An address from which the image is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The image file in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Several images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<Instance>>,
}

/// One of several images: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// An address from which the image is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The image file in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The reply by default: logits `[N, C]`, a row for each image, in the order of the classes.
pub type Logits = Vec<Vec<f32>>;

/// The reply to `Accept: application/json; verbose=true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerboseReply {
    /// What computed them.
    pub model: ModelDescription,
    /// One for each image, in the order of the request.
    pub predictions: Vec<Prediction>,
}

/// Which model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// SHA-256 of its model.pth.
    pub id: String,
    /// What computes the backbone, as in model.json.
    pub engine: String,
    /// Logits are divided by it before they become probabilities; 1 when they are not calibrated.
    pub temperature: f64,
    /// Number of classes, C.
    pub num_classes: usize,
}

/// What the model says of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The most likely classes, the likeliest first.
    pub top: Vec<ClassProbability>,
    /// `[C]`, in the order of the classes.
    pub logits: Vec<f32>,
    /// What was lost in a damaged image that could be used all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// From the whole request to the queue's head, in ms.
    pub queue_ms: f64,
    /// Decoding and computing the chunk that the image was in, in ms.
    pub compute_ms: f64,
    /// Images in that chunk.
    pub batch: usize,
}

/// A class and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassProbability {
    /// Place among the logits.
    pub idx: usize,
    /// Name of its folder in the data set.
    pub class_name: String,
    /// Between 0 and 1.
    pub probability: f64,
}

/// Body of every reply whose status is not 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What is wrong, and what can be done about it.
    pub error: String,
    /// For programs, as in `undecodable_image`.
    pub kind: String,
    /// As in the header `x-request-id` and in the access log.
    pub request_id: String,
}
