//! What a run costs, by the prices of [`crate::config`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{
    PRICES_AS_OF, PRICES_REGION, SURPLUS_CREDITS_USD_PER_VCPU_HOUR, T3_BASELINES, USD_PER_HOUR,
};

/// An estimate from the run's duration alone: the time before and after, disks and traffic are not
/// in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostEstimate {
    /// Price of the instance type, on demand, Linux. A spot instance costs less.
    pub usd_per_hour: f64,
    /// That price for the duration of the run.
    pub instance_usd: f64,
    /// Surplus credits of a T instance in unlimited mode, had it no credits left: at most this is
    /// added. Zero for other instances.
    pub surplus_credits_usd: f64,
    /// Where the prices hold; other regions differ.
    pub prices_region: String,
    /// When they were published.
    pub prices_as_of: String,
}

impl CostEstimate {
    /// For `seconds` on an instance of this type, its `num_vcpus` being `busy` on average (0 to 1);
    /// `None` for a type without a known price.
    pub fn new(instance_type: &str, seconds: f64, num_vcpus: usize, busy: f64) -> Option<Self> {
        let price_of = |&&(name, _): &&(&str, f64)| name == instance_type;
        let usd_per_hour = USD_PER_HOUR.iter().find(price_of)?.1;
        let hours = seconds / 3600.0;
        let above_baseline = baseline(instance_type).map_or(0.0, |base| (busy - base).max(0.0));
        Some(CostEstimate {
            usd_per_hour,
            instance_usd: usd_per_hour * hours,
            surplus_credits_usd: above_baseline
                * num_vcpus as f64
                * hours
                * SURPLUS_CREDITS_USD_PER_VCPU_HOUR,
            prices_region: PRICES_REGION.into(),
            prices_as_of: PRICES_AS_OF.into(),
        })
    }
}

/// As in `about $0.0104 at $0.0416/h, and at most $0.0200 for surplus CPU credits`.
impl fmt::Display for CostEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about ${:.4} at ${}/h", self.instance_usd, self.usd_per_hour)?;
        if self.surplus_credits_usd > 0.0 {
            write!(f, ", and at most ${:.4} for surplus CPU credits", self.surplus_credits_usd)?;
        }
        write!(f, " (on demand in {}, {})", self.prices_region, self.prices_as_of)
    }
}

/// The part of each vCPU that a T instance may use for ever without spending credits.
fn baseline(instance_type: &str) -> Option<f64> {
    let (family, size) = instance_type.split_once('.')?;
    let baseline = T3_BASELINES.iter().find(|&&(name, _)| name == size);
    matches!(family, "t3" | "t3a").then(|| baseline.map(|&(_, part)| part))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_usd(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 5e-4, "{actual} instead of {expected}");
    }

    #[test]
    fn a_quarter_of_an_hour_at_full_load_on_a_t3_medium() {
        let cost = CostEstimate::new("t3.medium", 900.0, 2, 1.0).unwrap();
        assert_usd(cost.instance_usd, 0.0104);
        // 2 vCPUs, 80 % above the baseline, a quarter of an hour: 0.4 vCPU-hours.
        assert_usd(cost.surplus_credits_usd, 0.020);
        let text = cost.to_string();
        assert!(text.starts_with("about $0.0104 at $0.0416/h, and at most $0.0200 for"), "{text}");
    }

    #[test]
    fn below_the_baseline_and_without_one_there_is_no_surplus() {
        let idle = CostEstimate::new("t3.medium", 900.0, 2, 0.19).unwrap();
        assert_eq!(idle.surplus_credits_usd, 0.0);
        // 733 s, as the original's job on an m5.2xlarge took at best.
        let large = CostEstimate::new("m5.2xlarge", 733.0, 8, 1.0).unwrap();
        assert_eq!(large.surplus_credits_usd, 0.0);
        assert_usd(large.instance_usd, 0.0782);
        assert!(!large.to_string().contains("credits"), "{large}");
    }

    #[test]
    fn a_type_without_a_known_price_has_no_estimate() {
        assert_eq!(CostEstimate::new("x9.huge", 900.0, 2, 1.0), None);
    }

    #[test]
    fn every_t3_has_a_price_and_a_baseline() {
        for family in ["t3", "t3a"] {
            for (size, _) in T3_BASELINES {
                let name = format!("{family}.{size}");
                let cost = CostEstimate::new(&name, 3600.0, 2, 1.0).unwrap();
                assert!(cost.surplus_credits_usd > 0.0, "{name}");
            }
        }
    }
}
