//! From folders of image files to normalized `[224, 224, 3]` pixels.

pub mod class_index;
pub mod decode;
mod file_note;
pub mod image_file;
pub mod image_folder;
pub mod inspect;
pub mod leakage;
mod random_crop;
pub mod resize;
pub mod section;
pub mod ten_crop;
pub mod transform;
pub mod view;

pub use file_note::{FileNote, path_as_text};
