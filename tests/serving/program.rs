//! The real binary with a real model.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ec2train::serving::request::encode_base64;
use image::ImageFormat;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::{Client, read_head};
use super::common::set_on_drop::SetOnDrop;
use super::common::{WorkingDir, command, text};
use super::fake_model::wait_until;

struct Program {
    child: Child,
    log: PathBuf,
    client: Client,
}

impl Program {
    fn start(working_dir: &WorkingDir) -> Self {
        let log = working_dir.path("serve.log");
        let child = command(&working_dir.path(""))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(File::create(working_dir.path("access.log")).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut address = None;
        wait_until(|| {
            let log = fs::read_to_string(&log).unwrap();
            let after = log.split_once("listening on http://").map(|(_, after)| after.to_owned());
            address = after.and_then(|after| after.split_once(';')?.0.parse().ok());
            address.is_some()
        });
        let client = Client::new(address.unwrap());
        let program = Program { child, log, client };
        wait_until(|| program.client.get("/ping").status == 200);
        program
    }

    fn stop(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn model_id(&self) -> String {
        let image = image::RgbImage::new(8, 8);
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let reply = self.client.invoke_with(&[], "?verbose=true", png.get_ref());
        reply.json()["model"]["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A large JPEG by its header; the file is small.
fn jpeg_bomb(jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
    bytes
}

/// The same as a PNG.
fn png_bomb() -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, ImageFormat::Png).unwrap();
    let mut bytes = png.into_inner();
    // Width, height; then the header's checksum.
    let side = 16_000u32.to_be_bytes();
    bytes[16..24].copy_from_slice(&[side, side].concat());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[test]
fn it_answers_as_predict_does_takes_up_a_new_model_and_ends_when_asked_to() {
    let working_dir = WorkingDir::small();
    let output = working_dir.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(66));
    assert!(text(&output.stderr).contains("`ec2train` trains one"), "{}", text(&output.stderr));
    assert!(working_dir.run(&[]).status.success());

    let program = Program::start(&working_dir);
    the_logits_are_those_of_predict(&working_dir, &program);
    bombs_are_refused(&working_dir, &program);

    // Another program cannot listen there.
    let address = program.client.address.to_string();
    let output = working_dir.run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(73));
    assert!(text(&output.stderr).contains("--listen"), "{}", text(&output.stderr));

    a_new_model_is_taken_up_without_a_lost_request(&working_dir, &program);

    let mut idle = program.client.raw(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(read_head(&mut idle).starts_with("HTTP/1.1 200"));
    let log = working_dir.path("access.log");
    assert_eq!(program.stop(Signal::TERM).code(), Some(0));
    for line in fs::read_to_string(log).unwrap().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert!(entry["request_id"].is_string() && entry["duration_ms"].is_f64(), "{line}");
    }
}

fn the_logits_are_those_of_predict(working_dir: &WorkingDir, program: &Program) {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/images");
    let mut images = vec![working_dir.images("test", 0)[0].clone()];
    images.extend(
        ["png_rgba.png", "webp_lossy.webp", "gif_animated.gif"].map(|name| golden.join(name)),
    );
    let mut arguments = vec!["predict", "--json"];
    arguments.extend(images.iter().map(|path| path.to_str().unwrap()));
    let predictions: Value = serde_json::from_slice(&working_dir.run(&arguments).stdout).unwrap();
    let is_exact = !working_dir.metadata()["engine"].as_str().unwrap().contains("onednn");
    for (index, path) in images.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let expected: Vec<f32> =
            serde_json::from_value(predictions[index]["logits"].clone()).unwrap();
        assert_eq!(expected.len(), working_dir.class_names().len());
        let content_type = format!("image/{}", path.extension().unwrap().to_str().unwrap());
        let content_type = content_type.replace("jpg", "jpeg");
        let body = json!({"image": encode_base64(&bytes)}).to_string();
        for logits in [
            program.client.logits(&content_type, &bytes),
            program.client.logits("application/octet-stream", &bytes),
            program.client.logits("application/json", body.as_bytes()),
        ] {
            // Weights that are packed for another size of batch may round otherwise.
            let is_close = logits.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.05);
            assert!(if is_exact { logits == expected } else { is_close }, "{}", path.display());
        }
    }
}

fn bombs_are_refused(working_dir: &WorkingDir, program: &Program) {
    let jpeg = fs::read(&working_dir.images("test", 0)[0]).unwrap();
    for bomb in [jpeg_bomb(&jpeg), png_bomb()] {
        assert!(bomb.len() < 6 << 20);
        let reply = program.client.invoke("application/octet-stream", &bomb);
        assert_eq!(reply.kind(), (400, "undecodable_image".into()));
        assert!(reply.text().contains("too large"), "{}", reply.text());
    }
    // The format is the content's, whatever the header says.
    assert_eq!(program.client.invoke("image/png", &jpeg).status, 200);
    let reply = program.client.invoke("image/jpeg", b"no image");
    assert_eq!(reply.kind(), (400, "undecodable_image".into()));
}

fn a_new_model_is_taken_up_without_a_lost_request(working_dir: &WorkingDir, program: &Program) {
    let before = program.model_id();
    let image = fs::read(&working_dir.images("train", 1)[0]).unwrap();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = SetOnDrop(&ended);
        let client = scope.spawn(|| {
            let mut num_answers = 0;
            while !ended.load(Ordering::Relaxed) {
                program.client.logits("image/jpeg", &image);
                num_answers += 1;
            }
            num_answers
        });
        fs::remove_file(&working_dir.images("train", 0)[0]).unwrap();
        assert!(working_dir.run(&[]).status.success());
        let metadata = working_dir.metadata();
        assert_ne!(metadata["model_sha256"], before.as_str());
        wait_until(|| metadata["model_sha256"] == program.model_id().as_str());
        drop(end);
        assert!(client.join().unwrap() > 0);
    });
    // One that is damaged is not.
    let model = fs::canonicalize(working_dir.path("TrainedModels/model.pth")).unwrap();
    fs::write(&model, "no model").unwrap();
    wait_until(|| program.log().contains("the model from before is served on"));
    assert_eq!(program.client.get("/ping").status, 200);
    program.client.logits("image/jpeg", &image);
}
