//! Textures of a small shape set in staggered rows, or strewn at random.

use super::plane::{Ink, Point, fraction};

/// Whether a point is inside a shape that fills about -0.5 to 0.5 on each axis.
type Shape = fn(Point) -> bool;

fn disc(p: Point) -> bool {
    p.radius() < 0.4
}

fn ring(p: Point) -> bool {
    (0.26..0.44).contains(&p.radius())
}

fn square(p: Point) -> bool {
    p.x.abs().max(p.y.abs()) < 0.36
}

fn frame(p: Point) -> bool {
    (0.26..0.42).contains(&p.x.abs().max(p.y.abs()))
}

fn lozenge(p: Point) -> bool {
    1.5 * p.x.abs() + p.y.abs() < 0.5
}

fn triangle(p: Point) -> bool {
    p.y < 0.36 && 2.0 * p.x.abs() < p.y + 0.46
}

fn plus(p: Point) -> bool {
    p.x.abs().min(p.y.abs()) < 0.11 && p.x.abs().max(p.y.abs()) < 0.44
}

fn saltire(p: Point) -> bool {
    plus(p.rotated(0.125))
}

fn star(p: Point) -> bool {
    if p.radius() > 0.48 {
        return false;
    }
    // The border swings between two radii five times a turn, straight between them.
    let fifth = fraction((p.turn() + 0.25) * 5.0);
    let to_tip = (2.0 * fifth - 1.0).abs();
    p.radius() < 0.19 + 0.29 * to_tip * to_tip
}

fn heart(p: Point) -> bool {
    let (x, y) = (p.x.abs() * 2.6, 0.25 - p.y * 2.6);
    let lobe = x * x + y * y - 1.0;
    lobe * lobe * lobe < x * x * y * y * y
}

fn crescent(p: Point) -> bool {
    p.radius() < 0.44 && p.minus(Point::new(0.2, 0.0)).radius() > 0.36
}

fn arrow(p: Point) -> bool {
    let head = p.y < 0.0 && p.x.abs() < p.y + 0.45;
    head || ((0.0..0.45).contains(&p.y) && p.x.abs() < 0.12)
}

fn stick(p: Point) -> bool {
    p.x.abs() < 0.48 && p.y.abs() < 0.09
}

fn leaf(p: Point) -> bool {
    p.y.abs() < 0.2 * (1.0 - 4.4 * p.x * p.x)
}

fn hook(p: Point) -> bool {
    let upright = (-0.42..-0.2).contains(&p.x) && p.y.abs() < 0.42;
    upright || ((0.2..0.42).contains(&p.y) && p.x.abs() < 0.42)
}

/// A shape in each cell of staggered rows, filling most of it.
fn rows_of(shape: Shape, p: Point) -> Ink {
    let (_, local) = p.staggered_cell();
    shape(local.scaled(1.15)).into()
}

/// A shape at a random place, angle and size near every cell; every third one in accent.
fn strewn(shape: Shape, p: Point, seed: u32) -> Ink {
    let (home, _) = p.cell();
    for cell in home.neighbourhood() {
        let size = 0.75 + 0.35 * cell.chance(seed, 2);
        let local = p.minus(cell.site(seed, 0.7)).scaled(1.0 / size);
        // Every shape fits into this circle; most cells are out of reach.
        if local.radius() < 0.71 && shape(local.rotated(cell.chance(seed, 3))) {
            return if cell.chance(seed, 4) < 0.33 { Ink::ACCENT } else { Ink::MAIN };
        }
    }
    Ink::NONE
}

/// Declares a texture for each shape.
macro_rules! textures {
    ($($name:ident = $arrangement:ident($shape:ident), $doc:literal;)*) => {
        $(textures!(@one $name, $arrangement, $shape, $doc);)*
    };
    (@one $name:ident, rows_of, $shape:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(p: Point, _seed: u32) -> Ink {
            rows_of($shape, p)
        }
    };
    (@one $name:ident, strewn, $shape:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(p: Point, seed: u32) -> Ink {
            strewn($shape, p, seed)
        }
    };
}

textures! {
    rings = rows_of(ring), "Rows of rings.";
    squares = rows_of(square), "Rows of squares.";
    frames = rows_of(frame), "Rows of hollow squares.";
    lozenges = rows_of(lozenge), "Rows of lozenges.";
    pluses = rows_of(plus), "Rows of upright crosses.";
    saltires = rows_of(saltire), "Rows of oblique crosses.";
    stars = rows_of(star), "Rows of five-pointed stars.";
    hearts = rows_of(heart), "Rows of hearts.";
    crescents = rows_of(crescent), "Rows of crescents.";
    arrows = rows_of(arrow), "Rows of arrows.";
    hooks = rows_of(hook), "Rows of angle irons.";
    flags = rows_of(triangle), "Rows of triangles.";
    bubbles = strewn(disc), "Discs of various sizes.";
    hoops = strewn(ring), "Rings strewn about.";
    confetti = strewn(square), "Squares strewn about.";
    shards = strewn(triangle), "Triangles strewn about.";
    sticks = strewn(stick), "Sticks strewn about.";
    leaves = strewn(leaf), "Leaves strewn about.";
    starfish = strewn(star), "Stars strewn about.";
}

/// Dots on a square lattice.
pub fn dots(p: Point, _seed: u32) -> Ink {
    let (_, local) = p.cell();
    (local.radius() < 0.3).into()
}
