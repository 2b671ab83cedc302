//! EC2's word that it will take a spot instance back.

use jiff::Timestamp;
use serde::Deserialize;

use super::metadata::{MetadataService, Unavailable};

/// The interruption notice: two minutes remain, or none if the instance hibernates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InterruptionNotice {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When it happens; EC2 calls it approximate.
    pub time: Timestamp,
}

/// The interruption notice, once there is one.
///
/// # Errors
/// [`Unavailable`] without an answer.
pub fn interruption_notice(
    service: &mut MetadataService,
) -> Result<Option<InterruptionNotice>, Unavailable> {
    let text = service.get("/latest/meta-data/spot/instance-action")?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Whether EC2 recommends to move the work to another instance: a sign, often earlier than the
/// notice, that this one is likely to be taken.
///
/// # Errors
/// [`Unavailable`] without an answer.
pub fn rebalance_recommended(service: &mut MetadataService) -> Result<bool, Unavailable> {
    Ok(service.get("/latest/meta-data/events/recommendations/rebalance")?.is_some())
}
