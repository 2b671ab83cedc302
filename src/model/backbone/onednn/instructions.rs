//! Whether this CPU has what the fused convolutions are worth while with.

use std::fs;

use crate::model::backbone::Precision;

/// Says why not, in words for the log: the CPU lacks the instructions without which `precision` is no gain,
/// or `ONEDNN_MAX_CPU_ISA` withholds them.
pub(super) fn require_instructions(precision: Precision) -> Result<(), String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // oneDNN's own variable and the older name that it still reads.
    let cap = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"].iter().find_map(std::env::var_os);
    let cap = cap.map(|cap| cap.to_string_lossy().into_owned());
    check(precision, &cpuinfo, cap.as_deref())
}

/// `cpuinfo` is `/proc/cpuinfo`, `cap` the ISA that oneDNN is told to stay within.
fn check(precision: Precision, cpuinfo: &str, cap: Option<&str>) -> Result<(), String> {
    let needed = match precision {
        // With AVX alone oneDNN fuses into its SSE4.1 kernels only, and plain ones are faster.
        Precision::Fp32 => "avx2",
        // On AVX-512 without AMX bf16 takes four times as long as f32.
        Precision::Bf16 => "amx_bf16",
    };
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if !flags.split_whitespace().any(|flag| flag == needed) {
        return Err(format!("this CPU has no {needed}"));
    }
    let withheld = |cap: &str| {
        let cap = cap.to_ascii_uppercase();
        let whole = ["", "ALL", "DEFAULT"].contains(&cap.as_str());
        match precision {
            Precision::Fp32 => ["SSE41", "AVX"].contains(&cap.as_str()),
            Precision::Bf16 => !whole && !cap.contains("AMX"),
        }
    };
    match cap {
        Some(cap) if withheld(cap) => Err(format!("oneDNN may use no more than {cap}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVX2: &str = "processor\t: 0\nflags\t\t: fpu avx avx2 fma\nbugs\t\t: spectre_v1\n";
    const AMX: &str = "flags\t\t: avx avx2 avx512f avx512bw amx_bf16 amx_tile\n";

    fn why_not(precision: Precision, cpuinfo: &str, cap: Option<&str>) -> String {
        check(precision, cpuinfo, cap).unwrap_err()
    }

    #[test]
    fn f32_needs_avx2_and_bf16_needs_amx() {
        assert_eq!(check(Precision::Fp32, AVX2, None), Ok(()));
        assert_eq!(check(Precision::Bf16, AMX, None), Ok(()));
        assert_eq!(why_not(Precision::Bf16, AVX2, None), "this CPU has no amx_bf16");
        let old = "flags\t\t: fpu sse4_1 avx\n";
        assert_eq!(why_not(Precision::Fp32, old, None), "this CPU has no avx2");
        assert_eq!(why_not(Precision::Fp32, "", None), "this CPU has no avx2");
    }

    #[test]
    fn a_capped_onednn_has_only_what_the_cap_leaves() {
        for cap in ["AVX512_CORE", "avx512_core_bf16", "AVX2", "SSE41"] {
            let why = why_not(Precision::Bf16, AMX, Some(cap));
            assert_eq!(why, format!("oneDNN may use no more than {cap}"));
        }
        for cap in ["AVX512_CORE_AMX", "AVX10_1_512_AMX_FP16", "ALL", "default", ""] {
            assert_eq!(check(Precision::Bf16, AMX, Some(cap)), Ok(()), "{cap}");
        }
        assert_eq!(check(Precision::Fp32, AMX, Some("AVX512_CORE")), Ok(()));
        assert_eq!(check(Precision::Fp32, AMX, Some("AVX2")), Ok(()));
        assert!(why_not(Precision::Fp32, AMX, Some("AVX")).contains("AVX"));
    }
}
