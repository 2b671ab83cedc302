//! Writes what the network sees of an image: `transform_image RESIZE IMAGE PNG`.

use std::error::Error;
use std::fs;
use std::path::Path;

use ec2train::data::decode::decode;
use ec2train::data::resize::Scratch;
use ec2train::data::transform::EvalTransform;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [resize, input, output] = arguments.as_slice() else {
        return Err("usage: transform_image RESIZE IMAGE PNG".into());
    };
    let transform = EvalTransform::imagenet(resize.parse()?);
    let decoded = decode(Path::new(input), &fs::read(input)?)?;
    let mut scratch = Scratch::default();
    let pixels = transform.crop_rgb(&decoded.image, &mut scratch);
    image::save_buffer(output, pixels, transform.crop, transform.crop, image::ColorType::Rgb8)?;
    Ok(())
}
