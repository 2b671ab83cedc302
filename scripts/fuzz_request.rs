//! Feeds damaged requests to what reads them: bodies of every type to the parser, images to the decoder.
//!
//! ```text
//! cargo run --release --example fuzz_request -- SECONDS [SEED]
//! ```
//!
//! Starts from the images of tests/golden/data and a few bodies; an input whose outcome is new joins the
//! corpus, which is kept small. Ends with 1, and the input in fuzz_request.bin, at a panic (also one that
//! the server would contain), or when an input takes more than five seconds.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use ec2train::data::decode::decode_within;
use ec2train::serving::request::{self, BodyType, Source, encode_base64};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Damaged headers claim sizes: decoding may take this much.
const MAX_DECODE_BYTES: u64 = 32 << 20;
const MAX_CORPUS: usize = 400;
const MAX_LEN: usize = 64 << 10;
const SLOW: Duration = Duration::from_secs(5);
const FORM: &str = "multipart/form-data; boundary=x";

/// Content type and body.
type Input = (Vec<u8>, Vec<u8>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(10, |text| text.parse().expect("SECONDS"));
    let seed: u64 = arguments.next().map_or(133, |text| text.parse().expect("SEED"));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut corpus = seeds();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut outcomes = HashSet::new();
    let (start, mut num_inputs) = (Instant::now(), 0u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let mut input = corpus[rng.random_range(0..corpus.len())].clone();
        let other = &corpus[rng.random_range(0..corpus.len())];
        for _ in 0..rng.random_range(1..6) {
            mutate(&mut input.1, &other.1, &mut rng);
        }
        if rng.random_range(0..50) == 0 {
            mutate(&mut input.0, &other.0, &mut rng);
        }
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(read(&input))));
        let took = begin.elapsed();
        num_inputs += 1;
        match outcome {
            Ok(outcome) if took < SLOW && !outcome.contains("the decoder failed on it") => {
                if outcomes.insert(outcome) && corpus.len() < MAX_CORPUS {
                    corpus.push(input);
                }
            }
            outcome => {
                fs::write("fuzz_request.bin", [&input.0, b"\n".as_slice(), &input.1].concat())
                    .unwrap();
                eprintln!("after {num_inputs} inputs, {took:?}: {outcome:?}, see fuzz_request.bin");
                std::process::exit(1);
            }
        }
    }
    println!(
        "{num_inputs} inputs in {seconds} s: {} outcomes, a corpus of {}, no panic, none slow",
        outcomes.len(),
        corpus.len()
    );
}

/// What became of an input, without numbers.
async fn read((content_type, body): &Input) -> String {
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(content_type) else { return "no header".into() };
    headers.insert(CONTENT_TYPE, value);
    let images = match BodyType::of(&headers) {
        Ok(body_type) => request::images(&body_type, body.clone().into(), 32).await,
        Err(fault) => Err(fault),
    };
    let mut outcome = String::new();
    match images {
        Err(fault) => outcome += &format!("{}: {fault}", fault.kind()),
        Ok(sources) => {
            for source in sources {
                outcome += &match source {
                    Source::Url(_) => "url".to_owned(),
                    Source::Bytes(bytes) => {
                        match decode_within(MAX_DECODE_BYTES, Path::new("image"), &bytes) {
                            Ok(decoded) => format!("decoded {:?}", decoded.warning),
                            Err(error) => error.reason(),
                        }
                    }
                };
            }
        }
    }
    outcome.retain(|letter| !letter.is_ascii_digit());
    outcome.chars().take(120).collect()
}

fn seeds() -> Vec<Input> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data");
    let mut seeds: Vec<Input> = Vec::new();
    for dir in ["images", "truncation"] {
        for entry in fs::read_dir(golden.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            if path.extension().is_none_or(|extension| extension == "rgb") || bytes.len() > MAX_LEN
            {
                continue;
            }
            let json = format!(r#"{{"instances": [{{"image": "{}"}}]}}"#, encode_base64(&bytes));
            let head = b"--x\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n".as_slice();
            let form = [head, &bytes, b"\r\n--x--\r\n"].concat();
            seeds.push(("application/json".into(), json.into_bytes()));
            seeds.push((FORM.into(), form));
            seeds.push(("application/octet-stream".into(), bytes));
        }
    }
    for json in [r#"{"url": "https://example.org/a.jpg"}"#, r#"{"image": "aGVsbG8="}"#] {
        seeds.push(("application/json".into(), json.into()));
    }
    seeds
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    const INTERESTING: [u8; 12] =
        [0, 1, 0x7f, 0x80, 0xff, 0xd8, 0xda, 0xc2, b'"', b'{', b'\r', b'-'];
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let end = (at + rng.random_range(1..=64)).min(bytes.len());
    match rng.random_range(0..8) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = INTERESTING[rng.random_range(0..INTERESTING.len())],
        2 => bytes[at..end].iter_mut().for_each(|byte| *byte = rng.random()),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => bytes.truncate(at),
        6 if !other.is_empty() => {
            let from = rng.random_range(0..other.len());
            let piece = &other[from..(from + 256).min(other.len())];
            bytes.splice(at..end, piece.iter().copied());
        }
        _ => {
            let number = [0u32, 1, 0xffff, 0x7fff_ffff, u32::MAX][rng.random_range(0..5)];
            for (byte, value) in bytes[at..].iter_mut().zip(number.to_be_bytes()) {
                *byte = value;
            }
        }
    }
    bytes.truncate(MAX_LEN);
}
