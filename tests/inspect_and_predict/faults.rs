//! A data set in which every fault was planted that `ec2train check` looks for.

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use image::codecs::gif::GifEncoder;
use image::imageops::{FilterType, flip_horizontal, resize};
use image::{DynamicImage, Frame, GrayImage, ImageFormat, RgbImage};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use zip::write::SimpleFileOptions;

use super::common::WorkingDir;
use super::pictures::{encode, jpeg, picture};

/// A kind of finding with the paths it must name, relative to the data set.
pub type Planted = (&'static str, Vec<String>);

/// Where faults are planted.
pub struct DataSet<'a> {
    root: &'a Path,
    next_seed: u64,
}

impl<'a> DataSet<'a> {
    pub fn new(root: &'a Path) -> Self {
        DataSet { root, next_seed: 0 }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// One that was not there before.
    fn picture(&mut self, width: u32, height: u32) -> RgbImage {
        self.next_seed += 1;
        picture(self.next_seed, width, height)
    }

    fn jpeg(&mut self) -> Vec<u8> {
        jpeg(&self.picture(160, 120), 90)
    }

    fn images(&mut self, dir: &str, num_images: usize) {
        for index in 0..num_images {
            let bytes = self.jpeg();
            self.write(&format!("{dir}/{index}.jpg"), bytes);
        }
    }

    /// A class with nothing wrong.
    fn class(&mut self, name: &str) {
        for (split, num_images) in [("train", 5), ("valid", 1), ("test", 1)] {
            self.images(&format!("{split}/{name}"), num_images);
        }
    }

    fn first_class(&self) -> String {
        let mut names: Vec<_> = fs::read_dir(self.path("train")).unwrap().collect();
        names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
        names[0].as_ref().unwrap().file_name().into_string().unwrap()
    }
}

fn one(kind: &'static str, path: impl Into<String>) -> Vec<Planted> {
    vec![(kind, vec![path.into()])]
}

/// Writes one file and expects a finding of `kind` at it.
fn file(set: &DataSet, kind: &'static str, path: String, bytes: Vec<u8>) -> Vec<Planted> {
    set.write(&path, bytes);
    one(kind, path)
}

type Plant = fn(&mut DataSet, &str) -> Vec<Planted>;

/// Each plants one fault, or the same in several places, into the class folder of train that it is
/// given, or elsewhere.
pub const PLANTS: &[Plant] = &[
    // --- Classes
    |set, _| {
        for (split, num_images) in [("train", 3), ("valid", 1), ("test", 1)] {
            set.images(&format!("{split}/900.few"), num_images);
        }
        one("small-class", "train/900.few")
    },
    |set, _| {
        fs::create_dir_all(set.path("train/901.none")).unwrap();
        one("empty-class", "train/901.none")
    },
    |set, _| {
        set.write("train/902.spoilt/a.jpg", "");
        let mut planted = one("empty-class", "train/902.spoilt");
        planted.extend(one("empty-file", "train/902.spoilt/a.jpg"));
        planted
    },
    |set, _| {
        set.images("valid/903.unknown", 1);
        set.images("test/904.unknown", 1);
        let mut planted = one("unknown-class", "valid/903.unknown");
        planted.extend(one("unknown-class", "test/904.unknown"));
        planted
    },
    |set, _| {
        set.images("train/905.only_train", 5);
        set.images("valid/905.only_train", 1);
        one("unmeasured-class", "test/905.only_train")
    },
    |set, _| {
        set.class("906.Great Dane");
        set.class("906.great  dane");
        let folders = ["train", "valid", "test"].iter();
        let of = |name: &str| folders.clone().map(|split| format!("{split}/{name}")).collect();
        let (a, b): (Vec<_>, Vec<_>) = (of("906.Great Dane"), of("906.great  dane"));
        vec![("similar-class-names", [a, b].concat())]
    },
    |set, _| {
        let dir = set.path("train").join(OsStr::from_bytes(b"caf\xe9"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.jpg"), set.jpeg()).unwrap();
        one("class-name-not-utf8", "train/caf\u{fffd}")
    },
    |set, _| {
        set.images("train/907.large", 40);
        set.images("valid/907.large", 1);
        set.images("test/907.large", 1);
        vec![("imbalance", vec!["train/900.few".into(), "train/907.large".into()])]
    },
    // --- Files that cannot be used
    |set, class| file(set, "empty-file", format!("{class}/empty.jpg"), Vec::new()),
    |set, class| {
        let mut planted = file(set, "not-an-image", format!("{class}/text.png"), b"text".to_vec());
        planted.extend(file(set, "not-an-image", format!("{class}/zipped.jpg"), zip_archive()));
        planted.extend(file(set, "not-an-image", format!("{class}/zeros.jpg"), vec![0; 5000]));
        planted
    },
    |set, class| {
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec();
        let mut planted = file(set, "unsupported-format", format!("{class}/a.heic"), heic.clone());
        planted.extend(file(set, "unsupported-format", format!("{class}/heic.jpg"), heic));
        planted
    },
    |set, class| {
        let bytes = set.jpeg();
        let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let mut planted = file(set, "corrupt", format!("{class}/head.jpg"), bytes[..scan].to_vec());
        let png = encode(set.picture(80, 80), ImageFormat::Png);
        let half = png[..png.len() / 2].to_vec();
        planted.extend(file(set, "corrupt", format!("{class}/half.png"), half));
        planted
    },
    |set, class| {
        let bytes = set.jpeg();
        let half = bytes[..bytes.len() / 2].to_vec();
        file(set, "badly-truncated", format!("{class}/half.jpg"), half)
    },
    |set, class| {
        let bytes = set.jpeg();
        file(set, "truncated", format!("{class}/cut.jpg"), bytes[..bytes.len() - 20].to_vec())
    },
    |set, class| {
        let mut planted = file(set, "too-large", format!("{class}/bomb.png"), huge_png());
        let sparse = format!("{class}/sparse.jpg");
        fs::File::create(set.path(&sparse)).unwrap().set_len(1 << 30).unwrap();
        planted.extend(one("too-large", sparse));
        planted
    },
    |set, class| {
        let path = format!("{class}/locked.jpg");
        let bytes = set.jpeg();
        set.write(&path, bytes);
        if rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: a file without permission, since root may read it");
            return Vec::new();
        }
        fs::set_permissions(set.path(&path), fs::Permissions::from_mode(0o000)).unwrap();
        one("unreadable", path)
    },
    |set, class| {
        symlink("nowhere.jpg", set.path(class).join("dangling.jpg")).unwrap();
        symlink("ring.jpg", set.path(class).join("ring.jpg")).unwrap();
        let mut planted = one("broken-symlink", format!("{class}/dangling.jpg"));
        planted.extend(one("broken-symlink", format!("{class}/ring.jpg")));
        planted
    },
    |set, class| {
        let path = format!("{class}/fifo.jpg");
        mknodat(CWD, set.path(&path), FileType::Fifo, Mode::RUSR, 0).unwrap();
        symlink("/dev/zero", set.path(class).join("device.jpg")).unwrap();
        let mut planted = one("special-file", path);
        planted.extend(one("special-file", format!("{class}/device.jpg")));
        planted
    },
    |set, _| {
        let bytes = set.jpeg();
        file(set, "stray-image", "valid/stray.jpg".into(), bytes)
    },
    |set, class| {
        let mut planted = Vec::new();
        for name in ["photo.jfif", "photo", "photo.jpg~"] {
            let bytes = set.jpeg();
            planted.extend(file(set, "unlisted-image", format!("{class}/{name}"), bytes));
        }
        planted
    },
    |set, class| file(set, "other-file", format!("{class}/Thumbs.db"), b"BM, no bitmap".to_vec()),
    // --- The same picture more than once
    |set, class| {
        let bytes = set.jpeg();
        let paths = vec![format!("{class}/copy-1.jpg"), format!("{class}/copy-2.jpg")];
        paths.iter().for_each(|path| set.write(path, &bytes));
        vec![("duplicate", paths)]
    },
    |set, class| {
        let bytes = set.jpeg();
        set.class("908.other");
        let paths = vec![format!("{class}/two-labels.jpg"), "train/908.other/two.jpg".to_owned()];
        paths.iter().for_each(|path| set.write(path, &bytes));
        vec![("duplicate-across-classes", paths)]
    },
    |set, class| {
        let bytes = set.jpeg();
        let test = format!("{}/leak.jpg", class.replace("train", "test"));
        let paths = vec![format!("{class}/leaked.jpg"), test];
        paths.iter().for_each(|path| set.write(path, &bytes));
        vec![("duplicate-across-splits", paths)]
    },
    |set, class| {
        let bytes = set.jpeg();
        let paths = vec![format!("{class}/both.jpg"), "valid/908.other/both.jpg".to_owned()];
        paths.iter().for_each(|path| set.write(path, &bytes));
        vec![("duplicate-across-classes", paths.clone()), ("duplicate-across-splits", paths)]
    },
    |set, class| {
        // Four copies: compressed, scaled, made brighter, mirrored.
        let original = set.picture(240, 180);
        let brighter = RgbImage::from_fn(240, 180, |x, y| {
            original.get_pixel(x, y).0.map(|level| level.saturating_add(level / 6)).into()
        });
        let copies = [
            jpeg(&original, 90),
            jpeg(&original, 25),
            jpeg(&resize(&original, 100, 75, FilterType::Triangle), 80),
            jpeg(&brighter, 80),
            encode(flip_horizontal(&original), ImageFormat::Png),
        ];
        let names = ["near-1.jpg", "near-2.jpg", "near-3.jpg", "near-4.jpg", "near-5.png"];
        let paths: Vec<String> = names.iter().map(|name| format!("{class}/{name}")).collect();
        paths.iter().zip(copies).for_each(|(path, bytes)| set.write(path, bytes));
        vec![("near-duplicate", paths)]
    },
    |set, class| {
        let original = set.picture(240, 180);
        let paths = vec![format!("{class}/alike.jpg"), "train/908.other/alike.jpg".to_owned()];
        set.write(&paths[0], jpeg(&original, 90));
        set.write(&paths[1], jpeg(&original, 50));
        vec![("near-duplicate-across-classes", paths)]
    },
    |set, class| {
        let original = set.picture(240, 180);
        let cropped = image::imageops::crop_imm(&original, 3, 2, 234, 176).to_image();
        let valid = format!("{}/alike.jpg", class.replace("train", "valid"));
        let paths = vec![format!("{class}/cropped.jpg"), valid];
        set.write(&paths[0], jpeg(&original, 90));
        set.write(&paths[1], jpeg(&cropped, 80));
        vec![("near-duplicate-across-splits", paths)]
    },
    // --- Pictures that are not like the others
    |set, class| {
        let blank = RgbImage::from_pixel(90, 90, image::Rgb([40, 40, 41]));
        file(set, "blank-image", format!("{class}/blank.jpg"), jpeg(&blank, 80))
    },
    |set, class| {
        let bytes = jpeg(&set.picture(24, 90), 90);
        file(set, "tiny-image", format!("{class}/icon.jpg"), bytes)
    },
    |set, class| {
        let bytes = jpeg(&set.picture(600, 100), 90);
        file(set, "extreme-aspect", format!("{class}/panorama.jpg"), bytes)
    },
    |set, class| {
        // 51 million pixels of blobs, without grain, which would take long to compress.
        let blobs = set.picture(8, 8);
        let huge = RgbImage::from_fn(8500, 6000, |x, y| *blobs.get_pixel(x / 1063, y / 750));
        file(set, "huge-image", format!("{class}/huge.jpg"), jpeg(&huge, 30))
    },
    |set, class| {
        let png = encode(set.picture(100, 80), ImageFormat::Png);
        let gif_name = format!("{class}/jpeg.gif");
        let mut planted = file(set, "wrong-extension", format!("{class}/png.jpg"), png);
        let bytes = set.jpeg();
        planted.extend(file(set, "wrong-extension", gif_name, bytes));
        planted
    },
    |set, class| {
        let bytes = with_orientation(&set.jpeg(), 6);
        file(set, "exif-rotated", format!("{class}/side.jpg"), bytes)
    },
    |set, class| {
        let frames = [set.picture(60, 60), set.picture(60, 60)];
        let mut gif = Vec::new();
        let frames = frames.map(|frame| Frame::new(DynamicImage::from(frame).into_rgba8()));
        GifEncoder::new(&mut gif).encode_frames(frames).unwrap();
        file(set, "animation", format!("{class}/moving.gif"), gif)
    },
    |set, class| {
        let mut rgba = DynamicImage::from(set.picture(60, 60)).into_rgba8();
        rgba.get_pixel_mut(5, 5).0[3] = 0;
        file(set, "transparent", format!("{class}/hole.png"), encode(rgba, ImageFormat::Png))
    },
    |set, class| {
        let gray: GrayImage = DynamicImage::from(set.picture(60, 60)).into_luma8();
        let mut planted =
            file(set, "grayscale", format!("{class}/gray.png"), encode(gray, ImageFormat::Png));
        let gray: GrayImage = DynamicImage::from(set.picture(60, 60)).into_luma8();
        let bytes = encode(gray, ImageFormat::Jpeg);
        planted.extend(file(set, "grayscale", format!("{class}/gray.jpg"), bytes));
        planted
    },
    |set, class| {
        // From Pillow; 40 x 30 pixels.
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/images/jpeg_cmyk.jpg");
        let path = format!("{class}/cmyk.jpg");
        let mut planted = file(set, "cmyk", path.clone(), fs::read(golden).unwrap());
        planted.extend(one("tiny-image", path));
        planted
    },
    |set, class| {
        let deep = DynamicImage::from(set.picture(60, 60)).into_rgb16();
        file(set, "sixteen-bit", format!("{class}/deep.png"), encode(deep, ImageFormat::Png))
    },
    // --- Names and folders
    |set, class| {
        let dir = format!("{class}/more");
        set.images(&dir, 2);
        one("nested-folder", dir)
    },
    |set, class| {
        symlink(".", set.path(class).join("self")).unwrap();
        one("repeated-folder", format!("{class}/self"))
    },
    |set, class| {
        let path = set.path(class).join(OsStr::from_bytes(b"caf\xe9.jpg"));
        fs::write(path, set.jpeg()).unwrap();
        one("file-name-not-utf8", format!("{class}/caf\u{fffd}.jpg"))
    },
];

/// Plants everything into the data set of `working_dir`.
pub fn plant_all(working_dir: &WorkingDir) -> Vec<Planted> {
    let root = working_dir.path("data/dogImages");
    let mut set = DataSet::new(&root);
    let class = format!("train/{}", set.first_class());
    PLANTS.iter().flat_map(|plant| plant(&mut set, &class)).collect()
}

fn zip_archive() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a.txt", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"text").unwrap();
    zip.finish().unwrap().into_inner()
}

/// A PNG whose header says that it has 65,000 x 65,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut png = encode(picture(0, 4, 4), ImageFormat::Png);
    // Length and kind of the first chunk lie before its fields, its checksum behind them.
    png[16..24].copy_from_slice(&[65_000u32.to_be_bytes(), 65_000u32.to_be_bytes()].concat());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

/// As in the PNG specification.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// The JPEG with an EXIF segment that holds the orientation alone.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    // Tag 0x0112, one SHORT.
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    exif.extend([0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}
