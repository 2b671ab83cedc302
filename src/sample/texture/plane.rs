//! Points of the plane, ink, and the hash that irregular textures are made of.

/// The next whole number below. A cast, because `f32::floor` is a library call on plain x86-64.
pub fn floor(x: f32) -> i32 {
    let towards_zero = x as i32;
    towards_zero - i32::from(towards_zero as f32 > x)
}

/// What is above the next whole number below, 0 to 1.
pub fn fraction(x: f32) -> f32 {
    x - floor(x) as f32
}

/// A point `(x, y)` in periods; y points down.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// What a texture puts on a point, between background and two inks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ink {
    /// Share of the main ink over the background, 0 to 1.
    pub cover: f32,
    /// Share of the accent ink over all that, 0 to 1.
    pub accent: f32,
}

impl Ink {
    /// The background alone.
    pub const NONE: Ink = Ink { cover: 0.0, accent: 0.0 };
    /// The main ink alone.
    pub const MAIN: Ink = Ink { cover: 1.0, accent: 0.0 };
    /// The accent ink alone.
    pub const ACCENT: Ink = Ink { cover: 0.0, accent: 1.0 };

    /// The main ink at that strength, clamped to 0 to 1.
    pub fn shade(cover: f32) -> Ink {
        Ink { cover: cover.clamp(0.0, 1.0), accent: 0.0 }
    }
}

impl From<bool> for Ink {
    fn from(inside: bool) -> Ink {
        if inside { Ink::MAIN } else { Ink::NONE }
    }
}

impl Point {
    pub fn new(x: f32, y: f32) -> Point {
        Point { x, y }
    }

    /// Distance from the origin.
    pub fn radius(self) -> f32 {
        (self.x * self.x + self.y * self.y).sqrt()
    }

    /// Angle from the x axis towards the y axis, in turns, -0.5 to 0.5.
    pub fn turn(self) -> f32 {
        self.y.atan2(self.x) / std::f32::consts::TAU
    }

    /// Rotated about the origin by `turns`.
    pub fn rotated(self, turns: f32) -> Point {
        let (sin, cos) = (turns * std::f32::consts::TAU).sin_cos();
        Point::new(cos * self.x - sin * self.y, sin * self.x + cos * self.y)
    }

    pub fn scaled(self, factor: f32) -> Point {
        Point::new(self.x * factor, self.y * factor)
    }

    pub fn minus(self, other: Point) -> Point {
        Point::new(self.x - other.x, self.y - other.y)
    }

    /// The unit cell that holds this point, and the point's place in it, -0.5 to 0.5 on each axis.
    pub fn cell(self) -> (Cell, Point) {
        let (column, row) = (floor(self.x), floor(self.y));
        let local = Point::new(self.x - column as f32 - 0.5, self.y - row as f32 - 0.5);
        (Cell { column, row }, local)
    }

    /// Like [`Point::cell`], with every odd row shifted by half a cell, as bricks are.
    pub fn staggered_cell(self) -> (Cell, Point) {
        let shift = if floor(self.y) & 1 == 1 { 0.5 } else { 0.0 };
        Point::new(self.x + shift, self.y).cell()
    }
}

/// A cell of the unit lattice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub column: i32,
    pub row: i32,
}

impl Cell {
    /// A number in 0..1 that is fixed for this cell, seed and purpose (`salt`).
    pub fn chance(self, seed: u32, salt: u32) -> f32 {
        let word = (self.column as u32)
            .wrapping_mul(0x9e37_79b1)
            .wrapping_add((self.row as u32).wrapping_mul(0x85eb_ca77))
            .wrapping_add(seed.wrapping_mul(0xc2b2_ae3d))
            .wrapping_add(salt.wrapping_mul(0x27d4_eb2f));
        // The top 24 bits are exact in f32.
        (avalanche(word) >> 8) as f32 / (1 << 24) as f32
    }

    /// The 3 by 3 cells around this one, row by row.
    pub fn neighbourhood(self) -> impl Iterator<Item = Cell> {
        (-1..=1).flat_map(move |dy| {
            (-1..=1).map(move |dx| Cell { column: self.column + dx, row: self.row + dy })
        })
    }

    /// A point in this cell, up to `jitter` (0 to 1) of the way from its centre to its border.
    pub fn site(self, seed: u32, jitter: f32) -> Point {
        let offset = |salt| 0.5 + jitter * (self.chance(seed, salt) - 0.5);
        Point::new(self.column as f32 + offset(101), self.row as f32 + offset(102))
    }
}

/// MurmurHash3's finalizer: every input bit flips each output bit half of the time.
fn avalanche(mut word: u32) -> u32 {
    word = (word ^ (word >> 16)).wrapping_mul(0x85eb_ca6b);
    word = (word ^ (word >> 13)).wrapping_mul(0xc2b2_ae35);
    word ^ (word >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_spread_evenly_over_cells() {
        let mut tenths = [0; 10];
        for column in -50..50 {
            for row in -50..50 {
                tenths[(Cell { column, row }.chance(7, 1) * 10.0) as usize] += 1;
            }
        }
        assert!(tenths.iter().all(|&n| (880..1120).contains(&n)), "{tenths:?}");
    }

    #[test]
    fn a_cell_holds_its_point() {
        let (cell, local) = Point::new(-0.25, 2.75).cell();
        assert_eq!(cell, Cell { column: -1, row: 2 });
        assert!((local.x - 0.25).abs() < 1e-6 && (local.y - 0.25).abs() < 1e-6);
    }
}
