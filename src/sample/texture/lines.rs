//! Textures made of lines: stripes, waves, grids, cloth, circles.

use super::plane::{Cell, Ink, Point, floor, fraction};

/// 0 to 1 to 0 along a period of length 1; 0 at whole numbers.
fn triangle_wave(x: f32) -> f32 {
    1.0 - (2.0 * fraction(x) - 1.0).abs()
}

/// Whether `x` lies on a line of that width (in periods) around the whole numbers.
fn on_line(x: f32, width: f32) -> bool {
    (fraction(x + 0.5) - 0.5).abs() < 0.5 * width
}

/// Horizontal stripes as wide as their gaps.
pub fn stripes(p: Point, _seed: u32) -> Ink {
    on_line(p.y, 0.5).into()
}

/// Thin horizontal lines.
pub fn pinstripes(p: Point, _seed: u32) -> Ink {
    on_line(p.y, 0.16).into()
}

/// A wide, a narrow and an accent stripe in turn.
pub fn awning(p: Point, _seed: u32) -> Ink {
    match fraction(p.y) {
        y if y < 0.4 => Ink::MAIN,
        y if (0.6..0.7).contains(&y) => Ink::ACCENT,
        y if (0.8..0.9).contains(&y) => Ink::MAIN,
        _ => Ink::NONE,
    }
}

/// Stripes that swing like a sine.
pub fn waves(p: Point, _seed: u32) -> Ink {
    let swing = 0.35 * (std::f32::consts::TAU * p.x / 2.5).sin();
    on_line(p.y + swing, 0.5).into()
}

/// Stripes folded at right angles.
pub fn zigzag(p: Point, _seed: u32) -> Ink {
    on_line(p.y + triangle_wave(p.x / 2.0), 0.45).into()
}

/// Thin lines in both directions.
pub fn grid(p: Point, _seed: u32) -> Ink {
    (on_line(p.x, 0.14) || on_line(p.y, 0.14)).into()
}

/// Cloth of crossing bands that shade each other, half covered where only one band lies.
pub fn gingham(p: Point, _seed: u32) -> Ink {
    let bands = on_line(p.x, 0.5) as u8 + on_line(p.y, 0.5) as u8;
    Ink::shade(0.5 * f32::from(bands))
}

/// Tartan: wide bands both ways with thin accent lines between them.
pub fn tartan(p: Point, _seed: u32) -> Ink {
    let bands = on_line(p.x, 0.45) as u8 + on_line(p.y, 0.45) as u8;
    let lines = on_line(p.x + 0.5, 0.08) || on_line(p.y + 0.5, 0.08);
    if lines { Ink::ACCENT } else { Ink::shade(0.5 * f32::from(bands)) }
}

/// A centre that moves by up to `reach` periods from image to image.
fn centred(p: Point, seed: u32, reach: f32) -> Point {
    let origin = Cell { column: 0, row: 0 };
    let offset = |salt| 2.0 * reach * (origin.chance(seed, salt) - 0.5);
    p.minus(Point::new(offset(1), offset(2)))
}

/// Rings around one centre.
pub fn circles(p: Point, seed: u32) -> Ink {
    on_line(centred(p, seed, 3.0).radius(), 0.5).into()
}

/// An arm that winds out from one centre, a period further at each turn.
pub fn spiral(p: Point, seed: u32) -> Ink {
    let p = centred(p, seed, 1.0);
    on_line(p.radius() + p.turn(), 0.4).into()
}

/// Rays from one centre.
fn rays(p: Point, seed: u32, count: f32) -> Ink {
    on_line(centred(p, seed, 0.3).turn() * count, 0.5).into()
}

/// Ten wide rays.
pub fn sunburst(p: Point, seed: u32) -> Ink {
    rays(p, seed, 10.0)
}

/// Forty narrow rays.
pub fn fine_sunburst(p: Point, seed: u32) -> Ink {
    rays(p, seed, 40.0)
}

/// Lines whose gaps are drawn at random, as in a bar code.
pub fn barcode(p: Point, seed: u32) -> Ink {
    let cell = Cell { column: floor(p.x * 4.0), row: 0 };
    (cell.chance(seed, 1) < 0.5).into()
}

/// Short dashes in staggered columns.
pub fn dashes(p: Point, _seed: u32) -> Ink {
    let (_, local) = Point::new(p.y, p.x / 2.0).staggered_cell();
    (local.x.abs() < 0.14 && local.y.abs() < 0.3).into()
}
