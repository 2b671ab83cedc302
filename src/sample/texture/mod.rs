//! The textures: pure functions from a point of the plane to ink.
//!
//! Lengths are in periods: a texture's cell, wavelength or element is about 1 wide.

mod lines;
mod motifs;
mod noise;
mod plane;
mod tiles;

pub use lines::*;
pub use motifs::*;
pub use noise::*;
pub use plane::{Ink, Point};
pub use tiles::*;

/// A texture: ink at a point, in periods. Textures with irregular elements take these from `seed`.
pub type Texture = fn(p: Point, seed: u32) -> Ink;
