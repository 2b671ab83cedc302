//! This program's own kernels in bf16.

use ec2train::kernels::bf16::Bf16;
use ec2train::model::backbone::{Scratch, SimdBackbone};

use crate::formula::{assert_aligned, golden_features, pixels, state_dict};
use crate::simd::{assert_independent_of_neighbours, features};

#[test]
fn bf16_keeps_the_direction_of_the_features() {
    let Some(bf16) = Bf16::detect() else {
        eprintln!("SKIPPED, nothing checked: this CPU has no AVX512_BF16");
        return;
    };
    let backbone = SimdBackbone::new(bf16, &state_dict()).unwrap();
    let found = features(&backbone, &mut Scratch::default(), &pixels());
    assert_aligned(&found, &golden_features(), 0.9999);
    assert_independent_of_neighbours(&backbone);
}
