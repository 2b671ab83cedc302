//! This program's own kernels with products of 16-bit integers.

use ec2train::kernels::int16::Int16;
use ec2train::model::backbone::{Scratch, SimdBackbone};

use crate::formula::{assert_aligned, golden_features, pixels, state_dict};
use crate::simd::{assert_independent_of_neighbours, features};

#[test]
fn integers_keep_the_direction_of_the_features() {
    let Some(int16) = Int16::detect() else {
        eprintln!("SKIPPED, nothing checked: this CPU has no AVX512_VNNI");
        return;
    };
    let backbone = SimdBackbone::new(int16, &state_dict()).unwrap();
    let found = features(&backbone, &mut Scratch::default(), &pixels());
    assert_aligned(&found, &golden_features(), 0.999_999);
    assert_independent_of_neighbours(&backbone);
}
