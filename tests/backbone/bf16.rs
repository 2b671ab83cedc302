//! This program's own kernels in bf16.

use ec2train::kernels::amx::Amx;
use ec2train::kernels::bf16::Bf16;
use ec2train::model::backbone::{Network, Scratch, SimdBackbone};

use crate::formula::{assert_aligned, golden_features, pixels, state_dict};
use crate::simd::{assert_independent_of_neighbours, features};

fn assert_direction_is_kept(arithmetic: impl Network) {
    let backbone = SimdBackbone::new(arithmetic, &state_dict()).unwrap();
    let found = features(&backbone, &mut Scratch::default(), &pixels());
    assert_aligned(&found, &golden_features(), 0.9999);
    assert_independent_of_neighbours(&backbone);
}

#[test]
fn vectors_keep_the_direction_of_the_features() {
    let Some(bf16) = Bf16::detect() else {
        eprintln!("SKIPPED, nothing checked: this CPU has no AVX512_BF16");
        return;
    };
    assert_direction_is_kept(bf16);
}

#[test]
fn tiles_keep_the_direction_of_the_features() {
    let Some(amx) = Amx::detect() else {
        eprintln!("SKIPPED, nothing checked: this CPU has no AMX");
        return;
    };
    assert_direction_is_kept(amx);
}

#[test]
fn imitated_tiles_keep_the_direction_of_the_features() {
    assert_direction_is_kept(Amx::imitation());
}
