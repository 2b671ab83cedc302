//! What all processes of a run must have in common before they compute.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::group::ProcessGroup;
use crate::error::{Error, Result};
use crate::model::backbone::Engine;

/// What a process is about to compute with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// This program and its version.
    pub program: String,
    /// SHA-256 of the backbone's weights, 64 hex digits.
    pub weights_sha256: String,
    /// [`Listing::digest`]
    pub listing: [u8; 32],
    /// What computes fastest here.
    pub engine: String,
}

/// The image files of a data set, alike on machines that have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing(Vec<Line>);

/// Path below the data set's folder, class, bytes.
type Line = (PathBuf, usize, u64);

impl Listing {
    /// Adds a file: its path below the data set's folder, its class, its size in bytes.
    pub fn push(&mut self, path: &Path, target: usize, num_bytes: u64) {
        self.0.push((path.to_path_buf(), target, num_bytes));
    }

    /// Differs where the listings do.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (path, target, num_bytes) in &self.0 {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(&[0]);
            hasher.update(&(*target as u64).to_le_bytes());
            hasher.update(&num_bytes.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// For each file what tells it from others, alike on every machine.
    pub fn keys(&self) -> Vec<blake3::Hash> {
        let key = |(path, ..): &Line| blake3::hash(path.as_os_str().as_encoded_bytes());
        self.0.iter().map(key).collect()
    }

    /// What tells this listing from `other`, of rank 0.
    fn difference(&self, other: &Listing) -> String {
        let (own, theirs) = (self.by_path(), other.by_path());
        let only = |files: &Listing, others: &HashMap<&Path, (usize, u64)>| {
            let path = files.0.iter().find(|(path, ..)| !others.contains_key(path.as_path()));
            path.map(|(path, ..)| path.display().to_string())
        };
        let first = if let Some(path) = only(self, &theirs) {
            format!("{path} is not there")
        } else if let Some(path) = only(other, &own) {
            format!("{path} is only there")
        } else {
            let differs =
                |(path, ..): &&Line| own.get(path.as_path()) != theirs.get(path.as_path());
            let path = self.0.iter().find(differs).map(|(path, ..)| path.as_path());
            let path = path.unwrap_or(Path::new(""));
            match (own.get(path), theirs.get(path)) {
                (Some((_, own)), Some((_, theirs))) if own != theirs => {
                    format!("{} has {own} bytes, there {theirs}", path.display())
                }
                _ => format!("{} is of another class", path.display()),
            }
        };
        format!("{} images here, {} there; {first}", self.0.len(), other.0.len())
    }

    fn by_path(&self) -> HashMap<&Path, (usize, u64)> {
        self.0.iter().map(|(path, target, len)| (path.as_path(), (*target, *len))).collect()
    }
}

/// Compares what all processes are about to compute with, and returns the engine that all will use: the
/// fastest that every machine has. Features of different engines are never mixed.
///
/// # Errors
/// [`Error::Peer`] on every rank, naming the one that has another program, other weights or no engine in
/// common; [`Error::BadData`] for other images.
pub fn agree(
    group: &ProcessGroup,
    claim: &Claim,
    listing: &Listing,
    data_dir: &Path,
    engine: Engine,
) -> Result<Engine> {
    let claims: Vec<Claim> = exchange(group, claim)?;
    let odd = |differs: &dyn Fn(&Claim, &Claim) -> bool| {
        claims.iter().position(|claim| differs(claim, &claims[0]))
    };
    let differs = |rank: usize, what: &str, own: &str, theirs: &str, remedy: &str| Error::Peer {
        peer: group.name_of(rank),
        reason: format!("has {what} {own}, where rank 0 has {theirs}"),
        remedy: remedy.into(),
    };
    if let Some(rank) = odd(&|claim, first| claim.program != first.program) {
        let remedy = "Put the same program onto every machine.";
        let [own, theirs] = [&claims[rank].program, &claims[0].program];
        return Err(differs(rank, "the program", own, theirs, remedy));
    }
    if let Some(rank) = odd(&|claim, first| claim.weights_sha256 != first.weights_sha256) {
        let remedy = "Put the same weights file onto every machine.";
        let [own, theirs] = [&claims[rank].weights_sha256, &claims[0].weights_sha256];
        return Err(differs(rank, "weights with SHA-256", own, theirs, remedy));
    }
    if odd(&|claim, first| claim.listing != first.listing).is_some() {
        return Err(other_images(group, listing, data_dir)?);
    }
    if odd(&|claim, first| claim.engine != first.engine).is_none() {
        return Ok(engine);
    }
    common_engine(group)
}

/// What every rank gives, in the order of ranks.
fn exchange<T: Serialize + serde::de::DeserializeOwned>(
    group: &ProcessGroup,
    own: &T,
) -> Result<Vec<T>> {
    let bytes = to_bytes(own)?;
    group.all_gather(bytes)?.iter().map(|bytes| from_bytes(bytes)).collect()
}

/// The error of all ranks when the images of one are not those of rank 0.
fn other_images(group: &ProcessGroup, listing: &Listing, data_dir: &Path) -> Result<Error> {
    let own = to_bytes(listing)?;
    let first: Listing = from_bytes(&group.broadcast(own)?)?;
    let difference = if *listing == first { String::new() } else { listing.difference(&first) };
    let differences: Vec<String> = exchange(group, &difference)?;
    let named = differences.iter().enumerate().filter(|(_, difference)| !difference.is_empty());
    let named: Vec<String> =
        named.map(|(rank, difference)| format!("{}: {difference}", group.name_of(rank))).collect();
    Ok(Error::bad_data(
        data_dir,
        format!(
            "the machines have different images (here: that rank; there: rank 0)\n  {}",
            named.join("\n  ")
        ),
        "Copy the data set of one machine onto the others, or mount one for all.",
    ))
}

fn common_engine(group: &ProcessGroup) -> Result<Engine> {
    let own = Engine::supported();
    let names: Vec<String> = own.iter().map(|engine| engine.name().to_owned()).collect();
    let all: Vec<Vec<String>> = exchange(group, &names)?;
    let Some(name) = fastest_common(&all) else {
        let lists: Vec<String> = all
            .iter()
            .enumerate()
            .map(|(rank, names)| format!("{}: {}", group.name_of(rank), names.join(", ")))
            .collect();
        return Err(Error::Peer {
            peer: "the machines".into(),
            reason: format!("have no engine in common\n  {}", lists.join("\n  ")),
            remedy: "Take instances of one type, or builds with the same features.".into(),
        });
    };
    for (rank, names) in all.iter().enumerate() {
        if names.first().is_some_and(|fastest| *fastest != name) {
            log::warn!(
                "{} computes with {name} instead of {}, which not every machine has",
                group.name_of(rank),
                names[0]
            );
        }
    }
    own.into_iter()
        .find(|engine| engine.name() == name)
        .ok_or_else(|| Error::Internal(format!("there is no engine {name}")))
}

/// The name in all lists, fastest first, that comes earliest in the list where it comes last.
fn fastest_common(all: &[Vec<String>]) -> Option<String> {
    let place = |name: &String| {
        let places: Option<Vec<usize>> =
            all.iter().map(|names| names.iter().position(|other| other == name)).collect();
        places.and_then(|places| places.into_iter().max())
    };
    let candidates = all.first()?.iter().filter_map(|name| Some((place(name)?, name)));
    candidates.min_by_key(|(place, _)| *place).map(|(_, name)| name.clone())
}

fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(value)
        .map_err(|error| Error::Internal(format!("cannot write to a peer: {error}")))
}

fn from_bytes<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes)
        .map_err(|error| Error::Internal(format!("a peer cannot be understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, usize, u64)]) -> Listing {
        let mut listing = Listing::default();
        files.iter().for_each(|&(path, target, len)| listing.push(Path::new(path), target, len));
        listing
    }

    #[test]
    fn the_first_difference_of_two_listings_is_named() {
        let first = listing(&[("a", 0, 1), ("b", 0, 2), ("c", 1, 3)]);
        let cases = [
            (listing(&[("a", 0, 1), ("c", 1, 3)]), "2 images here, 3 there; b is only there"),
            (listing(&[("a", 0, 1), ("b", 0, 2)]), "c is only there"),
            (listing(&[("a", 0, 1), ("aa", 0, 1), ("b", 0, 2), ("c", 1, 3)]), "aa is not there"),
            (listing(&[("a", 0, 1), ("b", 0, 2), ("c", 1, 3), ("d", 1, 3)]), "d is not there"),
            (listing(&[("a", 0, 1), ("b", 0, 9), ("c", 1, 3)]), "b has 9 bytes, there 2"),
            (listing(&[("a", 0, 1), ("b", 1, 2), ("c", 1, 3)]), "b is of another class"),
        ];
        for (other, words) in cases {
            assert_ne!(other.digest(), first.digest());
            let text = other.difference(&first);
            assert!(text.ends_with(words), "{text}");
        }
    }

    #[test]
    fn the_fastest_engine_that_all_have_is_chosen() {
        let all = |lists: &[&[&str]]| -> Vec<Vec<String>> {
            lists.iter().map(|list| list.iter().map(|name| (*name).to_owned()).collect()).collect()
        };
        let new = ["bf16-amx", "fp32-avx512", "fp32-avx2"];
        assert_eq!(fastest_common(&all(&[&new, &new])).as_deref(), Some("bf16-amx"));
        assert_eq!(fastest_common(&all(&[&new, &new[1..]])).as_deref(), Some("fp32-avx512"));
        assert_eq!(fastest_common(&all(&[&new[2..], &new])).as_deref(), Some("fp32-avx2"));
        assert_eq!(fastest_common(&all(&[&new[..1], &new[1..]])), None);
    }
}
