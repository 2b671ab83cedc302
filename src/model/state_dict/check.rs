//! Comparing a state dict with what a network needs.

use std::path::Path;

use super::{Dtype, StateDict, TensorData, TensorSpec};
use crate::error::{Error, Result};

/// How many tensors of a kind a message names.
const MAX_NAMED: usize = 5;

/// Batch norm's step counter, which PyTorch itself fills in: files from before 0.4.1 lack it.
const OPTIONAL_SUFFIX: &str = ".num_batches_tracked";

impl StateDict {
    /// Checks that the tensors read from `path` are those of `specs`, no more and no fewer.
    ///
    /// Any float type passes where float32 is asked for: [`TensorData::to_f32`] converts it. A
    /// missing `num_batches_tracked` passes too, as it does in PyTorch.
    ///
    /// # Errors
    /// One bad-data error that names the missing, the extra and the differing tensors, the first
    /// five of each, with the expected and the found shape.
    pub fn check(&self, path: &Path, specs: &[TensorSpec]) -> Result<()> {
        let missing = specs
            .iter()
            .filter(|spec| self.get(&spec.name).is_none())
            .filter(|spec| !spec.name.ends_with(OPTIONAL_SUFFIX))
            .map(|spec| spec.name.clone());
        let known: std::collections::HashSet<&str> =
            specs.iter().map(|spec| spec.name.as_str()).collect();
        let extra = self
            .iter()
            .filter(|(name, _)| !known.contains(name))
            .map(|(name, _)| name.escape_debug().to_string());
        let differing = specs.iter().filter_map(|spec| {
            let found = self.get(&spec.name).filter(|found| !fits(found, spec))?;
            Some(format!(
                "{} (expected {} {:?}, found {} {:?})",
                spec.name,
                spec.dtype.name(),
                spec.shape,
                found.dtype.name(),
                found.shape
            ))
        });
        let kinds = [
            ("missing", missing.collect::<Vec<_>>()),
            ("unexpected", extra.collect()),
            ("of another shape or type", differing.collect()),
        ];
        let reasons: Vec<String> = kinds
            .iter()
            .filter(|(_, tensors)| !tensors.is_empty())
            .map(|(kind, tensors)| describe(kind, tensors))
            .collect();
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Error::bad_data(
            path,
            format!("its tensors are not those of the network: {}", reasons.join("; ")),
            "Use a state dict of the same architecture and the same number of classes.",
        ))
    }
}

fn fits(found: &TensorData, spec: &TensorSpec) -> bool {
    let converts = spec.dtype == Dtype::F32 && found.dtype.is_float();
    found.shape == spec.shape && (found.dtype == spec.dtype || converts)
}

/// `12 missing: a, b, c, d, e and 7 more`.
fn describe(kind: &str, tensors: &[String]) -> String {
    let named = tensors.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = match tensors.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{} {kind}: {named}{rest}", tensors.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), shape: shape.to_vec(), dtype: Dtype::F32 }
    }

    fn reason(state_dict: &StateDict, specs: &[TensorSpec]) -> String {
        state_dict.check(Path::new("weights.pth"), specs).unwrap_err().to_string()
    }

    #[test]
    fn the_same_tensors_in_another_order_and_float_type_pass() {
        let mut state_dict = StateDict::new();
        let half = TensorData { dtype: Dtype::F16, shape: vec![2], bytes: vec![0; 4] };
        state_dict.insert("b", half);
        state_dict.insert("a", TensorData::from_f32(&[1, 2], &[1.0, 2.0]));
        let specs = [
            spec("a", &[1, 2]),
            spec("b", &[2]),
            TensorSpec { dtype: Dtype::I64, ..spec("bn.num_batches_tracked", &[]) },
        ];
        state_dict.check(Path::new("weights.pth"), &specs).unwrap();
    }

    #[test]
    fn every_kind_of_difference_is_named_in_one_error() {
        let mut state_dict = StateDict::new();
        state_dict.insert("fc.weight", TensorData::from_f32(&[1, 2], &[0.0; 2]));
        state_dict.insert("steps", TensorData::scalar_i64(3));
        state_dict.insert("head.weight", TensorData::scalar_i64(3));
        let text = reason(
            &state_dict,
            &[spec("fc.weight", &[133, 2048]), spec("fc.bias", &[133]), spec("steps", &[])],
        );
        assert!(text.starts_with("weights.pth: "), "{text}");
        assert!(text.contains("1 missing: fc.bias; 1 unexpected: head.weight; "), "{text}");
        assert!(
            text.contains("fc.weight (expected float32 [133, 2048], found float32 [1, 2])"),
            "{text}"
        );
        assert!(text.contains("steps (expected float32 [], found int64 [])"), "{text}");
    }

    #[test]
    fn a_long_list_is_cut_after_five_with_a_count() {
        let specs: Vec<_> = (0..12).map(|i| spec(&format!("t{i}"), &[1])).collect();
        let text = reason(&StateDict::new(), &specs);
        assert!(text.contains("12 missing: t0, t1, t2, t3, t4 and 7 more\n"), "{text}");
    }
}
