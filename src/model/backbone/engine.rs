//! The ways to compute the backbone, of which a run takes one.

use std::fmt;

use super::Precision;
use super::libtorch_engines::{LIBTORCH_ENGINES, is_supported};
use crate::kernels::isa::Isa;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::{amx::Amx, bf16::Bf16, int16::Int16};

/// What computes the backbone. Features of different engines are close, but not the same bits, so
/// they are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// oneDNN's fused convolutions in bf16, for CPUs with AMX.
    OnednnBf16,
    /// This program's own kernels, bf16 with sums in f32, for CPUs with AMX.
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    Amx(Amx),
    /// This program's own kernels, bf16 with sums in f32, for CPUs with AVX512_BF16.
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    SimdBf16(Bf16),
    /// This program's own kernels, products of 16-bit integers, for CPUs with AVX512_VNNI.
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    SimdInt16(Int16),
    /// This program's own kernels, f32.
    Simd(Isa),
    /// oneDNN's fused convolutions in f32.
    OnednnFp32,
    /// libtorch's plain convolutions in f32, which run on every CPU.
    Libtorch,
}

impl Engine {
    /// Those that this CPU runs at a useful speed, the fastest first.
    pub fn supported() -> Vec<Engine> {
        let mut engines = Vec::new();
        #[cfg(all(feature = "native", target_arch = "x86_64"))]
        engines.extend(Amx::detect().map(Engine::Amx));
        if is_supported(Precision::Bf16) {
            engines.push(Engine::OnednnBf16);
        }
        let mut own: Vec<Engine> = Isa::supported().into_iter().map(Engine::Simd).collect();
        #[cfg(all(feature = "native", target_arch = "x86_64"))]
        {
            if let Some(bf16) = Bf16::detect() {
                own.insert(usize::from(!bf16.is_faster_than_f32()), Engine::SimdBf16(bf16));
            }
            if let Some(int16) = Int16::detect() {
                let is_second = matches!(own.first(), Some(Engine::SimdBf16(_)));
                own.insert(usize::from(is_second), Engine::SimdInt16(int16));
            }
        }
        engines.append(&mut own);
        if is_supported(Precision::Fp32) {
            engines.push(Engine::OnednnFp32);
        }
        if LIBTORCH_ENGINES.get().is_some() {
            engines.push(Engine::Libtorch);
        }
        engines
    }

    /// The first of [`Engine::supported`], without trying the others.
    pub fn fastest() -> Engine {
        #[cfg(all(feature = "native", target_arch = "x86_64"))]
        if let Some(amx) = Amx::detect() {
            return Engine::Amx(amx);
        }
        if Isa::supported().is_empty() && LIBTORCH_ENGINES.get().is_some() {
            return Engine::Libtorch;
        }
        #[cfg(all(feature = "native", target_arch = "x86_64"))]
        if let Some(bf16) = Bf16::detect().filter(|bf16| bf16.is_faster_than_f32()) {
            return Engine::SimdBf16(bf16);
        }
        #[cfg(all(feature = "native", target_arch = "x86_64"))]
        if let Some(int16) = Int16::detect() {
            return Engine::SimdInt16(int16);
        }
        Engine::Simd(Isa::fastest())
    }

    /// Whether this CPU's fastest engine is one that computes with libtorch.
    pub fn fastest_needs_libtorch() -> bool {
        Isa::supported().is_empty()
    }

    /// Whether its weights serve one size of batch: fewer images take as long.
    pub fn packs_for_one_batch(self) -> bool {
        matches!(self, Engine::OnednnBf16 | Engine::OnednnFp32)
    }

    /// As in model.json: the precision, then what computes.
    pub fn name(self) -> &'static str {
        match self {
            Engine::OnednnBf16 => "bf16-onednn-amx",
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::SimdBf16(_) => "bf16-avx512",
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::Amx(_) => "bf16-amx",
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::SimdInt16(_) => "int16-avx512",
            #[cfg(target_arch = "x86_64")]
            Engine::Simd(Isa::Avx512(_)) => "fp32-avx512",
            #[cfg(target_arch = "x86_64")]
            Engine::Simd(Isa::Avx2(_)) => "fp32-avx2",
            Engine::Simd(Isa::Portable) => "fp32-portable",
            Engine::OnednnFp32 => "fp32-onednn",
            Engine::Libtorch => "fp32-libtorch",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_is_the_first_of_the_supported() {
        let first = Engine::supported().first().copied();
        assert!(first.is_none_or(|first| first == Engine::fastest()));
    }
}
