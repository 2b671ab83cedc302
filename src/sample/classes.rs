//! The 133 classes of the sample.

use super::texture::*;

/// A class: a texture at a size and an angle.
#[derive(Clone, Copy)]
pub struct Class {
    /// Unique; the folder's name after its number.
    pub name: &'static str,
    /// What is drawn.
    pub texture: Texture,
    /// Length of the texture's unit before an image's own scale, in pixels.
    pub period_px: f32,
    /// Angle before an image's own rotation, in degrees, clockwise.
    pub angle_deg: f32,
}

impl Class {
    /// The folder of the class at `index`: `001.Stripes_horizontal_fine` for the first.
    pub fn folder(index: usize) -> String {
        format!("{:03}.{}", index + 1, CLASSES[index].name)
    }
}

const fn class(name: &'static str, texture: Texture, period_px: f32, angle_deg: f32) -> Class {
    Class { name, texture, period_px, angle_deg }
}

/// As many classes as the dog breeds, in the order of their numbers.
pub const CLASSES: [Class; crate::config::EXPECTED_NUM_CLASSES] = [
    class("Stripes_horizontal_fine", stripes, 8.0, 0.0),
    class("Stripes_horizontal_medium", stripes, 16.0, 0.0),
    class("Stripes_horizontal_coarse", stripes, 34.0, 0.0),
    class("Stripes_vertical_fine", stripes, 8.0, 90.0),
    class("Stripes_vertical_medium", stripes, 16.0, 90.0),
    class("Stripes_vertical_coarse", stripes, 34.0, 90.0),
    class("Stripes_falling_fine", stripes, 8.0, 45.0),
    class("Stripes_falling_medium", stripes, 16.0, 45.0),
    class("Stripes_falling_coarse", stripes, 34.0, 45.0),
    class("Stripes_rising_fine", stripes, 8.0, -45.0),
    class("Stripes_rising_medium", stripes, 16.0, -45.0),
    class("Stripes_rising_coarse", stripes, 34.0, -45.0),
    class("Pinstripes_horizontal_fine", pinstripes, 14.0, 0.0),
    class("Pinstripes_horizontal_coarse", pinstripes, 30.0, 0.0),
    class("Pinstripes_vertical_fine", pinstripes, 14.0, 90.0),
    class("Pinstripes_vertical_coarse", pinstripes, 30.0, 90.0),
    class("Awning_horizontal", awning, 44.0, 0.0),
    class("Awning_vertical", awning, 44.0, 90.0),
    class("Waves_horizontal_fine", waves, 13.0, 0.0),
    class("Waves_horizontal_coarse", waves, 28.0, 0.0),
    class("Waves_vertical_fine", waves, 13.0, 90.0),
    class("Waves_vertical_coarse", waves, 28.0, 90.0),
    class("Zigzag_horizontal_fine", zigzag, 12.0, 0.0),
    class("Zigzag_horizontal_coarse", zigzag, 26.0, 0.0),
    class("Zigzag_vertical_fine", zigzag, 12.0, 90.0),
    class("Zigzag_vertical_coarse", zigzag, 26.0, 90.0),
    class("Grid_fine", grid, 10.0, 0.0),
    class("Grid_medium", grid, 22.0, 0.0),
    class("Grid_coarse", grid, 46.0, 0.0),
    class("Grid_oblique_fine", grid, 14.0, 45.0),
    class("Grid_oblique_coarse", grid, 32.0, 45.0),
    class("Gingham_fine", gingham, 24.0, 0.0),
    class("Gingham_coarse", gingham, 52.0, 0.0),
    class("Tartan_fine", tartan, 30.0, 0.0),
    class("Tartan_coarse", tartan, 64.0, 0.0),
    class("Circles_fine", circles, 14.0, 0.0),
    class("Circles_coarse", circles, 34.0, 0.0),
    class("Spiral_fine", spiral, 18.0, 0.0),
    class("Spiral_coarse", spiral, 42.0, 0.0),
    class("Sunburst_wide", sunburst, 200.0, 0.0),
    class("Sunburst_narrow", fine_sunburst, 200.0, 0.0),
    class("Barcode_upright", barcode, 26.0, 0.0),
    class("Barcode_lying", barcode, 26.0, 90.0),
    class("Dashes_horizontal_fine", dashes, 20.0, 0.0),
    class("Dashes_horizontal_coarse", dashes, 40.0, 0.0),
    class("Dashes_vertical_fine", dashes, 20.0, 90.0),
    class("Dashes_vertical_coarse", dashes, 40.0, 90.0),
    class("Checkerboard_fine", checkerboard, 8.0, 0.0),
    class("Checkerboard_medium", checkerboard, 17.0, 0.0),
    class("Checkerboard_coarse", checkerboard, 36.0, 0.0),
    class("Checkerboard_oblique_fine", checkerboard, 11.0, 45.0),
    class("Checkerboard_oblique_coarse", checkerboard, 26.0, 45.0),
    class("Bricks_horizontal_fine", bricks, 14.0, 0.0),
    class("Bricks_horizontal_coarse", bricks, 32.0, 0.0),
    class("Bricks_vertical_fine", bricks, 14.0, 90.0),
    class("Bricks_vertical_coarse", bricks, 32.0, 90.0),
    class("Basketweave_fine", basketweave, 27.0, 0.0),
    class("Basketweave_coarse", basketweave, 57.0, 0.0),
    class("Herringbone_fine", herringbone, 9.0, 0.0),
    class("Herringbone_coarse", herringbone, 20.0, 0.0),
    class("Scales_fine", scales, 20.0, 0.0),
    class("Scales_coarse", scales, 44.0, 0.0),
    class("Triangles_fine", triangles, 18.0, 0.0),
    class("Triangles_coarse", triangles, 40.0, 0.0),
    class("Houndstooth_fine", houndstooth, 28.0, 0.0),
    class("Houndstooth_coarse", houndstooth, 60.0, 0.0),
    class("Honeycomb_fine", honeycomb, 13.0, 0.0),
    class("Honeycomb_medium", honeycomb, 27.0, 0.0),
    class("Honeycomb_coarse", honeycomb, 56.0, 0.0),
    class("Packed_dots_fine", packed_dots, 11.0, 0.0),
    class("Packed_dots_medium", packed_dots, 24.0, 0.0),
    class("Packed_dots_coarse", packed_dots, 50.0, 0.0),
    class("Square_dots_fine", dots, 10.0, 0.0),
    class("Square_dots_medium", dots, 22.0, 0.0),
    class("Square_dots_coarse", dots, 46.0, 0.0),
    class("Meander_fine", meander, 13.0, 0.0),
    class("Meander_medium", meander, 27.0, 0.0),
    class("Meander_coarse", meander, 56.0, 0.0),
    class("Maze_fine", maze, 14.0, 0.0),
    class("Maze_coarse", maze, 34.0, 0.0),
    class("Argyle_fine", argyle, 26.0, 0.0),
    class("Argyle_coarse", argyle, 60.0, 0.0),
    class("Pinwheels_fine", pinwheels, 24.0, 0.0),
    class("Pinwheels_coarse", pinwheels, 52.0, 0.0),
    class("Staircase_fine", staircase, 8.0, 0.0),
    class("Staircase_coarse", staircase, 20.0, 0.0),
    class("Mosaic_fine", mosaic, 20.0, 0.0),
    class("Mosaic_coarse", mosaic, 48.0, 0.0),
    class("Cracks_fine", cracks, 20.0, 0.0),
    class("Cracks_coarse", cracks, 48.0, 0.0),
    class("Clouds", clouds, 70.0, 0.0),
    class("Camouflage_fine", camouflage, 32.0, 0.0),
    class("Camouflage_coarse", camouflage, 80.0, 0.0),
    class("Blobs_fine", blobs, 14.0, 0.0),
    class("Blobs_coarse", blobs, 36.0, 0.0),
    class("Marble", marble, 40.0, 0.0),
    class("Wood_horizontal", wood, 36.0, 0.0),
    class("Wood_vertical", wood, 36.0, 90.0),
    class("Static_fine", static_noise, 3.0, 0.0),
    class("Static_medium", static_noise, 8.0, 0.0),
    class("Static_coarse", static_noise, 20.0, 0.0),
    class("Fibres_horizontal", fibres, 7.0, 0.0),
    class("Fibres_vertical", fibres, 7.0, 90.0),
    class("Zebra_horizontal", zebra, 22.0, 0.0),
    class("Zebra_vertical", zebra, 22.0, 90.0),
    class("Leopard_fine", leopard, 22.0, 0.0),
    class("Leopard_coarse", leopard, 48.0, 0.0),
    class("Granite_fine", granite, 5.0, 0.0),
    class("Granite_coarse", granite, 12.0, 0.0),
    class("Rings_fine", rings, 24.0, 0.0),
    class("Rings_coarse", rings, 52.0, 0.0),
    class("Squares", squares, 46.0, 0.0),
    class("Frames_fine", frames, 24.0, 0.0),
    class("Frames_coarse", frames, 52.0, 0.0),
    class("Lozenges", lozenges, 24.0, 0.0),
    class("Pluses", pluses, 24.0, 0.0),
    class("Saltires", saltires, 24.0, 0.0),
    class("Stars", stars, 46.0, 0.0),
    class("Hearts", hearts, 40.0, 0.0),
    class("Crescents", crescents, 40.0, 0.0),
    class("Arrows", arrows, 40.0, 0.0),
    class("Hooks", hooks, 40.0, 0.0),
    class("Flags", flags, 40.0, 0.0),
    class("Bubbles_fine", bubbles, 26.0, 0.0),
    class("Bubbles_coarse", bubbles, 60.0, 0.0),
    class("Hoops", hoops, 34.0, 0.0),
    class("Confetti_fine", confetti, 26.0, 0.0),
    class("Confetti_coarse", confetti, 60.0, 0.0),
    class("Shards", shards, 34.0, 0.0),
    class("Sticks_fine", sticks, 18.0, 0.0),
    class("Sticks_coarse", sticks, 40.0, 0.0),
    class("Leaves", leaves, 34.0, 0.0),
    class("Starfish", starfish, 46.0, 0.0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_fit_for_folders() {
        let names: HashSet<_> = CLASSES.iter().map(|class| class.name).collect();
        assert_eq!(names.len(), 133);
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_alphabetic() || c == '_'), "{name}");
        }
    }

    #[test]
    fn no_two_classes_draw_the_same() {
        let drawn: HashSet<_> = CLASSES
            .iter()
            .map(|class| (class.texture as usize, class.period_px as u32, class.angle_deg as i32))
            .collect();
        assert_eq!(drawn.len(), CLASSES.len());
    }

    #[test]
    fn folders_sort_in_the_order_of_the_classes() {
        let folders: Vec<_> = (0..CLASSES.len()).map(Class::folder).collect();
        assert!(folders.is_sorted());
        assert_eq!(folders[0], "001.Stripes_horizontal_fine");
    }
}
