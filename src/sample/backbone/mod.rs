//! A ResNet50 that was constructed, never trained.
//!
//! Its filters are written down, not learned: Gabor filters and colour opponents in `conv1`, then a
//! pyramid that measures oriented contrast at every scale, contrast of that contrast, and random
//! rectified differences (see [`plan`]). Every batch norm is the identity, so nothing has to be
//! measured on images. A linear head can tell textures apart by such features; it is no substitute
//! for a pretrained network.

mod block;
mod filters;
mod plan;
mod stem;

pub use plan::build_backbone;
