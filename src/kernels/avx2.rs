//! The instructions of AVX2.

use std::any::Any;

use pulp::Simd;
use pulp::x86::V3;

/// Where `simd` stands for them. Known when the code is compiled.
#[inline(always)]
pub(crate) fn avx2<S: Simd>(simd: S) -> Option<V3> {
    (&simd as &dyn Any).downcast_ref().copied()
}
