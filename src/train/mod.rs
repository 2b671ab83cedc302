//! Fitting the head on features, and layer4 on its inputs.

mod best_points;
pub mod checkpoint;
mod chunked_features;
mod curvature;
pub mod fine_tune;
pub mod fit;
#[cfg(feature = "torch")]
mod floats;
mod lbfgs;
mod objective;
mod optimizer;
mod packing;
mod pass_features;
mod products;
mod row_space;
mod scaling;
pub mod schedule;
pub mod search;
#[cfg(feature = "torch")]
pub mod sgd;
mod softmax;
mod space;
mod stacking;
pub mod temperature;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
mod tile_products;
mod update;
mod vector;
mod vector_products;
