//! The vector instructions of this CPU.
//!
//! A kernel is written once, on vectors of any length, and compiled for each instruction set.

use pulp::Simd;

#[cfg(target_arch = "x86_64")]
use super::cap::{self, Level};

/// An instruction set that this CPU is known to have: only [`Isa::supported`] makes one with vectors.
#[derive(Debug, Clone, Copy)]
pub enum Isa {
    /// 16 lanes of f32 in 32 registers: Intel servers since Skylake, AMD since Zen 4.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    /// 8 lanes of f32 in 16 registers: Intel since Haswell, AMD since Zen.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// One value at a time: the same results on any CPU, but slow.
    Portable,
}

/// A kernel. [`Kernel::run`] and all that it calls must be `#[inline(always)]`, closures included:
/// what is not inlined is compiled for the oldest of CPUs.
pub trait Kernel {
    /// Computes with the vectors of `S`.
    fn run<S: Simd>(self, simd: S);
}

impl Isa {
    /// What computes fastest here, [`Isa::Portable`] at worst.
    pub fn fastest() -> Isa {
        Isa::supported().first().copied().unwrap_or(Isa::Portable)
    }

    /// The vector instructions of this CPU that `ONEDNN_MAX_CPU_ISA` leaves, the fastest first.
    pub fn supported() -> Vec<Isa> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = pulp::x86::V4::try_new().filter(|_| cap::leaves(Level::Avx512));
            let avx2 = pulp::x86::V3::try_new().filter(|_| cap::leaves(Level::Avx2));
            avx512.map(Isa::Avx512).into_iter().chain(avx2.map(Isa::Avx2)).collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    /// As in compilers' options.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// f32 values in a vector.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => 16,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => 8,
            Isa::Portable => 1,
        }
    }

    /// Runs `kernel` as compiled for these instructions. Never inlined, so that the kernel has all
    /// registers to itself.
    #[inline(never)]
    pub fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(simd) => simd.vectorize(Call { simd, kernel }),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(simd) => simd.vectorize(Call { simd, kernel }),
            Isa::Portable => kernel.run(pulp::Scalar),
        }
    }
}

impl PartialEq for Isa {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Isa {}

struct Call<S, K> {
    simd: S,
    kernel: K,
}

impl<S: Simd, K: Kernel> pulp::NullaryFnOnce for Call<S, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.kernel.run(self.simd);
    }
}
