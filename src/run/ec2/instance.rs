//! Which instance a run happens on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::metadata::{MetadataService, Unavailable};

/// An EC2 instance, by its own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// As in `t3.medium`.
    pub instance_type: String,
    /// As in `i-0123456789abcdef0`.
    pub instance_id: String,
    /// As in `us-east-1`.
    pub region: String,
    /// `on-demand`, `spot`, or another of EC2's words; "unknown" when it does not say.
    pub life_cycle: String,
}

/// As in `t3.medium i-0123456789abcdef0 in us-east-1, spot`.
impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Instance { instance_type, instance_id, region, life_cycle } = self;
        write!(f, "{instance_type} {instance_id} in {region}, {life_cycle}")
    }
}

/// What is read of the identity document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    instance_type: String,
    instance_id: String,
    region: String,
}

impl Instance {
    /// Asks the service; `None` when its answer is none of EC2's.
    ///
    /// # Errors
    /// [`Unavailable`] without an answer.
    pub fn read(service: &mut MetadataService) -> Result<Option<Self>, Unavailable> {
        let document = service.get("/latest/dynamic/instance-identity/document")?;
        let Some(Identity { instance_type, instance_id, region }) =
            document.and_then(|text| serde_json::from_str(&text).ok())
        else {
            return Ok(None);
        };
        let life_cycle = service.get("/latest/meta-data/instance-life-cycle")?;
        let life_cycle = life_cycle.unwrap_or_else(|| "unknown".into());
        Ok(Some(Instance { instance_type, instance_id, region, life_cycle }))
    }

    /// Whether it can be taken back within two minutes. On-demand instances are never told so.
    pub fn may_be_interrupted(&self) -> bool {
        self.life_cycle != "on-demand"
    }

    /// Whether its CPU is paid for by credits once it is busier than its baseline.
    pub fn has_cpu_credits(&self) -> bool {
        matches!(self.instance_type.split_once('.'), Some(("t2" | "t3" | "t3a" | "t4g", _)))
    }
}
