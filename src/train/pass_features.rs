//! Features as this CPU goes through them fastest.

use super::chunked_features::ChunkedFeatures;
use super::products::Products;
use super::scaling::Scaling;
use crate::error::Result;
use crate::features::SplitFeatures;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::amx::Amx;
use crate::kernels::isa::Isa;

/// What features are, and what is done with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// They are multiplied there and back.
    Whole,
    /// The same of rows that have no features past the one of their own number: half the work where there are as
    /// many of them as features.
    Triangle,
    /// Only the loss is wanted.
    Loss,
}

/// Features that are ready for passes of one kind.
pub(super) struct PassFeatures {
    pub(super) values: AnyFeatures,
    /// Whether no row has features past the one of its own number.
    pub(super) is_triangular: bool,
}

/// By what multiplies them.
pub(super) enum AnyFeatures {
    Vectors(ChunkedFeatures<Isa>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    Tiles(ChunkedFeatures<Amx>),
}

impl PassFeatures {
    /// Scales features where there is a `scaling`.
    ///
    /// # Errors
    /// When features cannot be read, or be written to the disk.
    pub(super) fn new(split: SplitFeatures, scaling: Option<&Scaling>, pass: Pass) -> Result<Self> {
        let values = AnyFeatures::new(split, scaling, pass)?;
        Ok(PassFeatures { values, is_triangular: pass == Pass::Triangle })
    }
}

impl AnyFeatures {
    fn new(split: SplitFeatures, scaling: Option<&Scaling>, pass: Pass) -> Result<Self> {
        #[cfg(all(feature = "native", target_arch = "x86_64"))]
        if let Some(amx) = Amx::detect() {
            return Ok(AnyFeatures::Tiles(chunked(amx, split, scaling, pass)?));
        }
        Ok(AnyFeatures::Vectors(chunked(Isa::fastest(), split, scaling, pass)?))
    }
}

fn chunked<P: Products>(
    products: P,
    split: SplitFeatures,
    scaling: Option<&Scaling>,
    pass: Pass,
) -> Result<ChunkedFeatures<P>> {
    let rows_per_chunk = match pass {
        Pass::Whole => P::ROWS,
        Pass::Triangle => P::TRIANGLE_ROWS,
        Pass::Loss => P::LOSS_ROWS,
    };
    ChunkedFeatures::new(products, split, scaling, rows_per_chunk)
}
