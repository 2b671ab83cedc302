//! Textures of smooth or grainy noise.

use super::plane::{Cell, Ink, Point, fraction};

/// Smooth noise with features about 1 wide, 0 to 1, mean 0.5.
fn smooth_noise(p: Point, seed: u32) -> f32 {
    let (cell, local) = p.cell();
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(local.x + 0.5), ease(local.y + 0.5));
    let corner = |dx, dy| Cell { column: cell.column + dx, row: cell.row + dy }.chance(seed, 5);
    let top = corner(0, 0) + tx * (corner(1, 0) - corner(0, 0));
    let bottom = corner(0, 1) + tx * (corner(1, 1) - corner(0, 1));
    top + ty * (bottom - top)
}

/// Four octaves of [`smooth_noise`], each half as strong and twice as fine, about 0 to 1.
fn fractal_noise(p: Point, seed: u32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    for octave in 0..4 {
        sum += weight * smooth_noise(p.scaled(scale), seed.wrapping_add(octave));
        weight *= 0.5;
        scale *= 2.0;
    }
    sum / 0.9375
}

/// 0 below the middle, 1 above, with a soft step `1 / slope` wide.
fn contrast(value: f32, slope: f32) -> Ink {
    Ink::shade(0.5 + slope * (value - 0.5))
}

/// Soft clouds.
pub fn clouds(p: Point, seed: u32) -> Ink {
    contrast(fractal_noise(p, seed), 2.5)
}

/// Patches with hard and crinkled borders.
pub fn camouflage(p: Point, seed: u32) -> Ink {
    let value = fractal_noise(p, seed);
    match value {
        v if v < 0.42 => Ink::MAIN,
        v if v > 0.6 => Ink::ACCENT,
        _ => Ink::NONE,
    }
}

/// Smooth blobs with hard borders.
pub fn blobs(p: Point, seed: u32) -> Ink {
    contrast(smooth_noise(p, seed), 12.0)
}

/// Veins in stone.
pub fn marble(p: Point, seed: u32) -> Ink {
    let vein = (p.y + 3.0 * fractal_noise(p.scaled(0.5), seed)) * std::f32::consts::PI;
    Ink::shade(1.0 - 1.6 * vein.sin().abs())
}

/// Long growth rings, dark at one side, over fine grain.
pub fn wood(p: Point, seed: u32) -> Ink {
    let bend = 4.0 * smooth_noise(Point::new(0.15 * p.x, 0.3 * p.y), seed);
    let grain = smooth_noise(Point::new(0.3 * p.x, 8.0 * p.y), seed.wrapping_add(9));
    let ring = fraction(p.y + bend);
    Ink::shade(0.8 * ring * ring + 0.5 * (grain - 0.3))
}

/// Blocks, black or white at random.
pub fn static_noise(p: Point, seed: u32) -> Ink {
    let (cell, _) = p.cell();
    (cell.chance(seed, 1) < 0.5).into()
}

/// A fabric of long fibres.
pub fn fibres(p: Point, seed: u32) -> Ink {
    contrast(smooth_noise(Point::new(0.12 * p.x, p.y), seed), 3.0)
}

/// Stripes that wander and fork.
pub fn zebra(p: Point, seed: u32) -> Ink {
    let wander = 3.0 * smooth_noise(p.scaled(0.3), seed);
    (fraction(p.y + wander) < 0.5).into()
}

/// Irregular dark rings with a tinted inside.
pub fn leopard(p: Point, seed: u32) -> Ink {
    let (home, _) = p.cell();
    let wobble = 0.3 * (smooth_noise(p.scaled(2.5), seed) - 0.5);
    let distance = home
        .neighbourhood()
        .map(|cell| p.minus(cell.site(seed, 0.5)).radius())
        .fold(f32::MAX, f32::min)
        + wobble;
    match distance {
        d if d < 0.18 => Ink { cover: 0.0, accent: 0.7 },
        d if d < 0.36 => Ink::MAIN,
        _ => Ink::NONE,
    }
}

/// Fine speckles of two inks.
pub fn granite(p: Point, seed: u32) -> Ink {
    let value = smooth_noise(p, seed);
    let other = smooth_noise(p.scaled(1.3), seed.wrapping_add(17));
    if other > 0.72 { Ink::ACCENT } else { contrast(value, 5.0) }
}
