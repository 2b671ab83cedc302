//! Instructions that the environment withholds.
//!
//! `ONEDNN_MAX_CPU_ISA`, or `DNNL_MAX_CPU_ISA` as it was called, limits what oneDNN uses; these kernels
//! obey it too, so that a newer CPU stands in for an older one as a whole.

use std::env;

/// Levels of instructions that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Avx2,
    Avx512,
    #[cfg_attr(not(feature = "native"), allow(dead_code))]
    Avx512Vnni,
    #[cfg_attr(not(feature = "native"), allow(dead_code))]
    Avx512Bf16,
    #[cfg_attr(not(feature = "native"), allow(dead_code))]
    Amx,
}

/// oneDNN's names of the levels below each of ours, from the lowest.
const BELOW_AVX2: [&str; 2] = ["SSE41", "AVX"];
const BELOW_AVX512: [&str; 3] = ["AVX2", "AVX2_VNNI", "AVX2_VNNI_2"];
const BELOW_AVX512_VNNI: [&str; 1] = ["AVX512_CORE"];
const BELOW_AVX512_BF16: [&str; 1] = ["AVX512_CORE_VNNI"];
const BELOW_AMX: [&str; 4] = ["AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512", "AVX10_2_512"];

/// Whether the environment leaves `level`.
pub(super) fn leaves(level: Level) -> bool {
    let cap = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"].iter().find_map(env::var_os);
    cap.is_none_or(|cap| includes(&cap.to_string_lossy(), level))
}

/// Whether `cap` is at least `level`. One that oneDNN does not know limits nothing, as there.
fn includes(cap: &str, level: Level) -> bool {
    let cap = cap.to_ascii_uppercase();
    let below = [
        (Level::Avx2, &BELOW_AVX2[..]),
        (Level::Avx512, &BELOW_AVX512),
        (Level::Avx512Vnni, &BELOW_AVX512_VNNI),
        (Level::Avx512Bf16, &BELOW_AVX512_BF16),
        (Level::Amx, &BELOW_AMX),
    ];
    !below.iter().any(|&(above, names)| level >= above && names.contains(&cap.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_withholds_what_is_above_it() {
        let left = |cap| {
            [Level::Avx2, Level::Avx512, Level::Avx512Vnni, Level::Avx512Bf16, Level::Amx]
                .map(|level| includes(cap, level))
        };
        assert_eq!(left("AVX"), [false; 5]);
        assert_eq!(left("avx2"), [true, false, false, false, false]);
        assert_eq!(left("AVX512_CORE"), [true, true, false, false, false]);
        assert_eq!(left("AVX512_CORE_VNNI"), [true, true, true, false, false]);
        for cap in ["AVX512_CORE_BF16", "AVX10_1_512"] {
            assert_eq!(left(cap), [true, true, true, true, false], "{cap}");
        }
        for cap in ["AVX512_CORE_AMX", "AVX10_1_512_AMX_FP16", "ALL", "default", ""] {
            assert_eq!(left(cap), [true; 5], "{cap}");
        }
    }
}
