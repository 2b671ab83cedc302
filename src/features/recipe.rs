//! What features depend on besides the bytes of the image.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::record::Element;

/// The layout of the store's files. Part of their names, so that a file of another layout is never
/// opened.
const FORMAT: u32 = 1;
/// Raised with every change of this program or of a decoder it uses that changes a pixel.
pub(crate) const PIXELS: u32 = 1;
/// Raised with every change of this program that changes the last bit of a feature of the same pixels.
const ARITHMETIC: u32 = 3;
/// A header is a multiple of this long: records begin on a page.
const HEADER_UNIT_BYTES: usize = 4096;

/// Two features may be compared only when their recipes are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The transform with its parameters, as [`serde_json::to_value`] gives it.
    pub transform: serde_json::Value,
    /// SHA-256 of the weights file, 64 lowercase hex digits.
    pub weights_sha256: String,
    /// Name of the engine and its precision, as in "onednn-fused-bf16".
    pub engine: String,
}

/// The first line of a store's file.
#[derive(Serialize)]
struct Header<'a> {
    ec2train_features: u32,
    pixels: u32,
    arithmetic: u32,
    num_features: usize,
    record_bytes: usize,
    recipe: &'a Recipe,
}

impl Recipe {
    /// Name of the file that holds the features of this recipe and of no other.
    ///
    /// # Errors
    /// [`Error::Internal`] when the transform cannot be written as JSON.
    pub fn file_name(&self) -> Result<String> {
        self.file_name_of::<f32>()
    }

    /// The same for rows of another kind.
    ///
    /// # Errors
    /// As [`Recipe::file_name`].
    pub fn file_name_of<E: Element>(&self) -> Result<String> {
        let hash = blake3::hash(&self.header::<E>()?);
        Ok(format!("{}{}{FILE_SUFFIX}", E::FILE_PREFIX, &hash.to_hex()[..16]))
    }

    /// How that file begins: one line of JSON, filled up with spaces and a newline to a multiple of
    /// 4096 bytes. Its length depends on the recipe alone.
    pub(super) fn header<E: Element>(&self) -> Result<Vec<u8>> {
        let header = Header {
            ec2train_features: FORMAT,
            pixels: PIXELS,
            arithmetic: ARITHMETIC,
            num_features: E::ROW_LEN,
            record_bytes: E::RECORD_BYTES,
            recipe: self,
        };
        let mut bytes = serde_json::to_vec(&header)
            .map_err(|error| Error::Internal(format!("cannot describe the features: {error}")))?;
        let len = (bytes.len() + 1).next_multiple_of(HEADER_UNIT_BYTES);
        bytes.resize(len - 1, b' ');
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// How the name of every file of the store ends.
pub(super) const FILE_SUFFIX: &str = ".bin";

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            transform: serde_json::json!({"resize": 256}),
            weights_sha256: "06".repeat(32),
            engine: "fp32".into(),
        }
    }

    #[test]
    fn whatever_changes_the_features_changes_the_files_name() {
        let mut names = vec![recipe().file_name().unwrap()];
        names.push(recipe().file_name_of::<u16>().unwrap());
        names.push(Recipe { engine: "bf16".into(), ..recipe() }.file_name().unwrap());
        names.push(Recipe { weights_sha256: "11".repeat(32), ..recipe() }.file_name().unwrap());
        let transform = serde_json::json!({"resize": 232});
        names.push(Recipe { transform, ..recipe() }.file_name().unwrap());
        assert_eq!(names[0], recipe().file_name().unwrap());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn the_header_is_a_line_of_json_that_fills_whole_pages() {
        for padding in [0, 3500, 4096, 9000] {
            let engine = "e".repeat(padding);
            let header = Recipe { engine, ..recipe() }.header::<f32>().unwrap();
            assert_eq!(header.len() % HEADER_UNIT_BYTES, 0);
            assert_eq!(header.iter().position(|&byte| byte == b'\n'), Some(header.len() - 1));
            let value: serde_json::Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(value["recipe"]["transform"]["resize"], 256);
        }
    }
}
