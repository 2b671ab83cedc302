//! One picture of a class: its texture under a camera, colours and light of its own.

use image::{Rgb, RgbImage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::classes::Class;
use super::texture::Point;

/// Luma of the Rec. 601 weights, colours in 0 to 1.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// Offsets of the four samples in a pixel: a rotated grid, so that no edge hits two at once.
const SAMPLES: [(f32, f32); 4] =
    [(0.125, 0.375), (0.375, -0.125), (-0.125, -0.375), (-0.375, 0.125)];

/// Linear RGB-like colour, 0 to 1.
type Colour = [f32; 3];

/// What differs between the pictures of one class.
struct View {
    width: u32,
    height: u32,
    /// One pixel to the right in the texture's plane, in periods: its rotation and scale.
    step: Point,
    /// Of the texture at the picture's centre, in periods.
    phase: Point,
    seed: u32,
    background: Colour,
    main: Colour,
    accent: Colour,
    /// Change of brightness from the picture's centre to its corners' circle, as a direction.
    light: Point,
    /// Standard deviation of the sensor's noise, in levels of 0 to 255.
    noise_levels: f32,
}

impl View {
    fn choose(class: &Class, rng: &mut ChaCha8Rng) -> View {
        let (long, short) = (rng.random_range(248..=288), rng.random_range(224..=248));
        let (width, height) = if rng.random_bool(0.3) { (short, long) } else { (long, short) };
        let contrast = rng.random_range(0.34..0.5);
        let dark = rng.random_range(0.22..0.42);
        let (background, main) =
            if rng.random_bool(0.5) { (dark + contrast, dark) } else { (dark, dark + contrast) };
        let accent = rng.random_range(0.25..0.75);
        let rotation_deg = class.angle_deg + rng.random_range(-12.0f32..12.0);
        let scale = rng.random_range(0.87f32..1.15);
        let light_turns = rng.random_range(0.0f32..1.0);
        let light = Point::new(rng.random_range(0.0f32..0.3), 0.0).rotated(light_turns);
        View {
            width,
            height,
            step: Point::new(1.0 / (class.period_px * scale), 0.0).rotated(-rotation_deg / 360.0),
            phase: Point::new(rng.random_range(-0.5..0.5), rng.random_range(-0.5..0.5)),
            seed: rng.random(),
            background: colour_of_luma(background, rng),
            main: colour_of_luma(main, rng),
            accent: colour_of_luma(accent, rng),
            light,
            noise_levels: rng.random_range(0.3..2.0),
        }
    }

    /// The surface's colour at a pixel position, before light and noise.
    fn surface(&self, class: &Class, x: f32, y: f32) -> Colour {
        let centred = Point::new(x - 0.5 * self.width as f32, y - 0.5 * self.height as f32);
        let (mut cover, mut accent) = (0.0, 0.0);
        for (dx, dy) in SAMPLES {
            let (x, y) = (centred.x + dx, centred.y + dy);
            let p =
                Point::new(self.step.x * x - self.step.y * y, self.step.y * x + self.step.x * y);
            let ink = (class.texture)(p.minus(self.phase), self.seed);
            cover += 0.25 * ink.cover;
            accent += 0.25 * ink.accent;
        }
        let mix = |a: f32, b: f32, t: f32| a + t * (b - a);
        std::array::from_fn(|c| {
            mix(mix(self.background[c], self.main[c], cover), self.accent[c], accent)
        })
    }
}

/// A colour of random hue and saturation with that luma, as saturated as the cube allows at most.
fn colour_of_luma(luma: f32, rng: &mut ChaCha8Rng) -> Colour {
    let raw: Colour = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
    let raw_luma: f32 = raw.iter().zip(LUMA).map(|(value, weight)| value * weight).sum();
    let chroma = raw.map(|value| value - raw_luma);
    let room = chroma
        .iter()
        .map(|&c| if c > 0.0 { (1.0 - luma) / c } else { luma / -c.min(-1e-6) })
        .fold(f32::MAX, f32::min);
    let strength = room.min(1.0) * rng.random_range(0.2..0.8);
    chroma.map(|c| luma + strength * c)
}

/// A number of about normal distribution, mean 0 and variance 1, from 32 random bits: the sum of
/// two uniform numbers.
fn bell(bits: u32) -> f32 {
    let sum = (bits >> 16) + (bits & 0xffff);
    (sum as f32 / 65_536.0 - 1.0) * 6.0f32.sqrt()
}

/// Draws a picture of `class`; everything that is not the class's own comes from `rng`.
pub fn draw_picture(class: &Class, rng: &mut ChaCha8Rng) -> RgbImage {
    let view = View::choose(class, rng);
    let mut picture = RgbImage::new(view.width, view.height);
    // Not f32::hypot: it would be the only call to need a glibc younger than Amazon Linux 2023's.
    let diagonal = f64::from(view.width.pow(2) + view.height.pow(2)).sqrt();
    let half_diagonal = 0.5 * diagonal as f32;
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (fx, fy) = (x as f32 + 0.5, y as f32 + 0.5);
        let across = (fx - 0.5 * view.width as f32) * view.light.x;
        let down = (fy - 0.5 * view.height as f32) * view.light.y;
        let brightness = 1.0 + (across + down) / half_diagonal;
        let grain = view.noise_levels * bell(rng.random());
        let level = |share: f32| 255.0 * share * brightness + grain + 0.5;
        // The cast rounds down and clamps to 0..=255.
        *pixel = Rgb(view.surface(class, fx, fy).map(|share| level(share) as u8));
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::classes::CLASSES;
    use rand::SeedableRng;

    #[test]
    fn a_seed_fixes_the_picture_and_another_changes_it() {
        let picture = |seed| draw_picture(&CLASSES[40], &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(picture(1), picture(1));
        assert_ne!(picture(1), picture(2));
    }

    #[test]
    fn colours_have_the_luma_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for luma in [0.2, 0.5, 0.9] {
            let colour = colour_of_luma(luma, &mut rng);
            let got: f32 = colour.iter().zip(LUMA).map(|(value, weight)| value * weight).sum();
            assert!((got - luma).abs() < 1e-5, "{got} for {luma}");
            assert!(colour.iter().all(|c| (0.0..=1.0).contains(c)), "{colour:?}");
        }
    }

    #[test]
    fn every_class_shows_a_texture() {
        for (index, class) in CLASSES.iter().enumerate() {
            let picture = draw_picture(class, &mut ChaCha8Rng::seed_from_u64(index as u64));
            let (mut sum, mut squares) = (0.0f64, 0.0f64);
            for pixel in picture.pixels() {
                let green = f64::from(pixel.0[1]);
                sum += green;
                squares += green * green;
            }
            let count = f64::from(picture.width() * picture.height());
            let deviation = (squares / count - (sum / count).powi(2)).sqrt();
            assert!(deviation > 12.0, "{} is flat: {deviation:.1} levels", class.name);
        }
    }
}
