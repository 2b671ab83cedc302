//! The files of the main job at their official addresses.

use std::path::Path;

use crate::config::{
    DATA_DIR, DATA_URL, DATA_ZIP, WEIGHTS_DIR, WEIGHTS_FILE, WEIGHTS_SHA256, WEIGHTS_URLS,
};
use crate::error::{Error, Result};
use crate::fetch::dataset::fetch_dataset;
use crate::fetch::download::fetch;
use crate::fetch::network::Network;
use crate::fetch::progress::Progress;
use crate::fetch::source::Source;

/// Fetches both weights files and the data set; what is there already is left alone.
///
/// One that fails does not keep the others from being fetched.
///
/// # Errors
/// The first one; the others are logged.
pub fn fetch_all(progress: &Progress) -> Result<()> {
    let network = Network::default();
    let mut first_error: Option<Error> = None;
    let mut keep = |result: Result<()>| {
        let Err(error) = result else { return };
        match &first_error {
            None => first_error = Some(error),
            Some(_) => log::error!("{error}"),
        }
    };
    for source in weights(Path::new(WEIGHTS_DIR)) {
        keep(fetch(&source, &network, progress).map(drop));
    }
    keep(fetch_dataset(&dataset(), Path::new(DATA_DIR), &network, progress));
    first_error.map_or(Ok(()), Err)
}

/// Fetches the weights that a run prefers into `dir`, if they are not there already.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_weights(dir: &Path, progress: &Progress) -> Result<()> {
    let is_preferred = |source: &Source| source.label() == WEIGHTS_FILE;
    let source = weights(dir).find(is_preferred);
    let source = source.ok_or_else(|| Error::Internal("no address of the weights".into()))?;
    fetch(&source, &Network::default(), progress).map(drop)
}

/// torchvision's two ResNet50s.
fn weights(dir: &Path) -> impl Iterator<Item = Source> {
    WEIGHTS_URLS.iter().zip(WEIGHTS_SHA256).map(move |(url, sha256)| {
        let name = url.rsplit('/').next().unwrap_or(url);
        Source::new(*url, dir.join(name)).with_sha256(sha256)
    })
}

/// Udacity's dog breeds.
fn dataset() -> Source {
    Source::new(DATA_URL, DATA_ZIP).archive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weights_file_is_named_after_its_digest() {
        let dir = Path::new(WEIGHTS_DIR);
        let sources: Vec<Source> = weights(dir).collect();
        assert_eq!(sources.len(), 2);
        for source in sources {
            let sha256 = source.sha256.clone().unwrap();
            assert_eq!(sha256.len(), 64);
            assert_eq!(source.label(), format!("resnet50-{}.pth", &sha256[..8]));
            assert!(source.url.starts_with("https://"));
        }
        assert_eq!(weights(dir).next().map(|source| source.target), Some(dir.join(WEIGHTS_FILE)));
    }
}
