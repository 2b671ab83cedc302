//! Textures that tile the plane: checks, bricks, weaves, polygons, arcs.

use super::plane::{Cell, Ink, Point, floor, fraction};

/// A chessboard.
pub fn checkerboard(p: Point, _seed: u32) -> Ink {
    let (cell, _) = p.cell();
    ((cell.column + cell.row).rem_euclid(2) == 0).into()
}

/// Bricks two long and one high, with open joints.
pub fn bricks(p: Point, seed: u32) -> Ink {
    let (cell, local) = Point::new(p.x / 2.0, p.y).staggered_cell();
    let brick = local.x.abs() < 0.46 && local.y.abs() < 0.42;
    if brick { Ink::shade(0.75 + 0.25 * cell.chance(seed, 1)) } else { Ink::NONE }
}

/// Pairs of strips that pass over and under each other.
pub fn basketweave(p: Point, _seed: u32) -> Ink {
    let (cell, local) = p.cell();
    let across = (cell.column + cell.row).rem_euclid(2) == 0;
    let along = if across { local.y } else { local.x };
    // Three strips a cell, each with a dark edge.
    let strip = (along + 0.5) * 3.0;
    ((fraction(strip + 0.5) - 0.5).abs() > 0.2).into()
}

/// Planks laid in steps, alternately across and along.
pub fn herringbone(p: Point, _seed: u32) -> Ink {
    // Planks are 1 by 4; the pattern repeats after 4 + 4 cells along each row.
    let (cell, local) = p.cell();
    let place = (cell.column - cell.row).rem_euclid(8);
    let across = place < 4;
    let (side, end) = if across { (local.y, local.x) } else { (local.x, local.y) };
    let first = if across { place == 0 } else { place == 7 };
    let last = if across { place == 3 } else { place == 4 };
    let at_end = (first && end < -0.34) || (last && end > 0.34);
    (side.abs() < 0.34 && !at_end).into()
}

/// Rows of overlapping round scales with light rims.
pub fn scales(p: Point, _seed: u32) -> Ink {
    // Rows are 0.5 apart. A scale hangs from the top of its row, 1 wide and 1 long, and the rows
    // above lie on it: of the two or three scales at a point the uppermost one shows.
    let row = floor(2.0 * p.y);
    for above in [1, 0] {
        let row = row - above;
        let shift = if row & 1 == 1 { 0.5 } else { 0.0 };
        let from_centre = Point::new(fraction(p.x + shift) - 0.5, p.y - 0.5 * row as f32);
        let radius = Point::new(from_centre.x, 0.5 * from_centre.y).radius();
        if radius < 0.5 {
            return (radius < 0.38).into();
        }
    }
    Ink::NONE
}

/// Squares cut into two triangles, one of them inked.
pub fn triangles(p: Point, _seed: u32) -> Ink {
    let (_, local) = p.staggered_cell();
    (2.0 * local.x.abs() < local.y + 0.5).into()
}

/// The cloth of broken checks with pointed corners.
pub fn houndstooth(p: Point, _seed: u32) -> Ink {
    let (x, y) = (fraction(p.x), fraction(p.y));
    // A check, an empty one, and two quarters with diagonal stripes.
    match (x < 0.5, y < 0.5) {
        (true, true) => Ink::MAIN,
        (false, false) => Ink::NONE,
        _ => (fraction((x + y) * 2.0) < 0.5).into(),
    }
}

/// Distance to the nearest and to the second nearest of the centres of a hexagonal lattice.
fn hexagon_distances(p: Point) -> (f32, f32) {
    const ROW_HEIGHT: f32 = 0.866_025_4;
    let row = floor(p.y / ROW_HEIGHT);
    let (mut nearest, mut second) = (f32::MAX, f32::MAX);
    for row in row - 1..=row + 2 {
        let shift = if row & 1 == 1 { 0.5 } else { 0.0 };
        let column = floor(p.x - shift) as f32;
        for side in [0.0, 1.0] {
            let centre = Point::new(column + side + shift, row as f32 * ROW_HEIGHT);
            let distance = p.minus(centre).radius();
            if distance < nearest {
                (nearest, second) = (distance, nearest);
            } else if distance < second {
                second = distance;
            }
        }
    }
    (nearest, second)
}

/// Hexagonal cells with walls.
pub fn honeycomb(p: Point, _seed: u32) -> Ink {
    let (nearest, second) = hexagon_distances(p);
    (second - nearest > 0.16).into()
}

/// Dots in hexagonal packing.
pub fn packed_dots(p: Point, _seed: u32) -> Ink {
    (hexagon_distances(p).0 < 0.34).into()
}

/// Quarter circles that join into meanders (Truchet's tiles with arcs).
pub fn meander(p: Point, seed: u32) -> Ink {
    let (cell, local) = p.cell();
    let local = if cell.chance(seed, 1) < 0.5 { local } else { Point::new(-local.x, local.y) };
    let corner = |x: f32, y: f32| local.minus(Point::new(x, y)).radius();
    let nearest = corner(-0.5, -0.5).min(corner(0.5, 0.5));
    ((nearest - 0.5).abs() < 0.15).into()
}

/// Diagonal walls, each leaning left or right at random.
pub fn maze(p: Point, seed: u32) -> Ink {
    let (cell, local) = p.cell();
    let x = if cell.chance(seed, 1) < 0.5 { local.x } else { -local.x };
    let on_wall = |shift: f32| (x - local.y + shift).abs() < 0.22;
    (on_wall(0.0) || on_wall(1.0) && (local.x.abs() + local.y.abs() > 0.78)).into()
}

/// Diamonds, twice as high as wide, with thin accent lines across them.
pub fn argyle(p: Point, _seed: u32) -> Ink {
    let (u, v) = (p.x + 0.5 * p.y, p.x - 0.5 * p.y);
    let on_line = |x: f32| (fraction(x + 0.5) - 0.5).abs() < 0.04;
    if on_line(u + 0.5) || on_line(v + 0.5) {
        return Ink::ACCENT;
    }
    checkerboard(Point::new(u, v), 0)
}

/// Tiles of four blades around a point.
pub fn pinwheels(p: Point, _seed: u32) -> Ink {
    let (_, local) = p.cell();
    (fraction(local.turn() * 4.0) < 0.5).into()
}

/// Diagonal bands with square steps.
pub fn staircase(p: Point, _seed: u32) -> Ink {
    let (cell, _) = p.cell();
    ((cell.column + cell.row).rem_euclid(4) < 2).into()
}

/// Irregular cells around scattered sites: the nearest site, and how much farther the second is.
fn nearest_site(p: Point, seed: u32) -> (Cell, f32) {
    let (home, _) = p.cell();
    let (mut owner, mut nearest, mut second) = (home, f32::MAX, f32::MAX);
    for cell in home.neighbourhood() {
        let distance = p.minus(cell.site(seed, 0.9)).radius();
        if distance < nearest {
            (owner, nearest, second) = (cell, distance, nearest);
        } else if distance < second {
            second = distance;
        }
    }
    (owner, second - nearest)
}

/// Irregular cells, each in its own shade.
pub fn mosaic(p: Point, seed: u32) -> Ink {
    let (owner, _) = nearest_site(p, seed);
    Ink::shade(floor(owner.chance(seed, 3) * 4.0) as f32 / 3.0)
}

/// Irregular cells with dark gaps, as of dried mud.
pub fn cracks(p: Point, seed: u32) -> Ink {
    (nearest_site(p, seed).1 > 0.12).into()
}
