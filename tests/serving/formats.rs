//! What goes in and what comes out.

use ec2train::serving::request::encode_base64;
use ec2train::serving::wire::VerboseReply;
use serde_json::json;

use super::fake_model::logits;
use super::server::{Server, options};

#[test]
fn every_kind_of_body_gives_the_same_logits() {
    let server = Server::start(options());
    let expected = logits(b"a picture");
    for content_type in [
        "image/jpeg",
        "image/png",
        "image/webp",
        "IMAGE/JPEG; q=1",
        "application/x-image",
        "application/octet-stream",
    ] {
        assert_eq!(server.client.logits(content_type, b"a picture"), expected, "{content_type}");
    }
    let body = json!({"image": encode_base64(b"a picture")}).to_string();
    assert_eq!(server.client.logits("application/json", body.as_bytes()), expected);
    let form = "--x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\n\
                content-type: image/jpeg\r\n\r\na picture\r\n--x--\r\n";
    let form_type = "multipart/form-data; boundary=x";
    assert_eq!(server.client.logits(form_type, form.as_bytes()), expected);
    let reply = server.client.invoke_with(&[], "", b"a picture");
    assert_eq!(reply.rows(), [expected]);
}

#[test]
fn several_images_are_answered_in_their_order() {
    let server = Server::start(options());
    let words = ["one", "three", "seventeen"];
    let instances: Vec<_> =
        words.iter().map(|word| json!({"image": encode_base64(word.as_bytes())})).collect();
    let body = json!({"instances": instances}).to_string();
    let reply = server.client.invoke("application/json", body.as_bytes());
    let expected: Vec<_> = words.iter().map(|word| logits(word.as_bytes())).collect();
    assert_eq!(reply.rows(), expected);

    let body = json!({"instances": [{"image": "YQ=="}, {"image": encode_base64(b"undecodable")}]});
    let reply = server.client.invoke("application/json", body.to_string().as_bytes());
    assert_eq!(reply.kind(), (400, "undecodable_image".into()));
    assert!(reply.text().contains("image 1: it is a word"), "{}", reply.text());
}

#[test]
fn logits_are_written_as_the_client_accepts_them() {
    let server = Server::start(options());
    let [length, sum, rest] = logits(b"word");
    let accept = |accept: &str| {
        server.client.invoke_with(
            &[("accept", accept), ("content-type", "image/jpeg")],
            "",
            b"word",
        )
    };
    let reply = accept("text/csv");
    assert_eq!(reply.text(), format!("{length},{sum},{rest}\n"));

    let reply = accept("application/x-npy");
    assert_eq!(&reply.body[..8], b"\x93NUMPY\x01\x00");
    let header_len = usize::from(u16::from_le_bytes([reply.body[8], reply.body[9]]));
    assert_eq!((10 + header_len) % 64, 0);
    let header = String::from_utf8_lossy(&reply.body[10..10 + header_len]).into_owned();
    assert!(header.contains("'descr': '<f4'") && header.contains("(1, 3)"), "{header}");
    let values = [length, sum, rest].map(f32::to_le_bytes).concat();
    assert_eq!(&reply.body[10 + header_len..], values);

    for reply in [
        accept("application/json; verbose=true; top_k=2"),
        server.client.invoke_with(&[], "?verbose=true&top_k=2", b"word"),
    ] {
        let reply: VerboseReply = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.model.id.as_str(), reply.model.num_classes), ("first", 3));
        let prediction = &reply.predictions[0];
        assert_eq!(prediction.logits, [length, sum, rest]);
        assert_eq!(prediction.top.len(), 2);
        assert_eq!(prediction.top[0].class_name, "001.Length");
        // Calibrated: the logits are divided by the temperature, 2.
        let exp = [length, sum, rest].map(|logit| f64::from(logit / 2.0).exp());
        let expected = exp[0] / exp.iter().sum::<f64>();
        assert!((prediction.top[0].probability - expected).abs() < 1e-9);
    }
    assert_eq!(accept("text/html").kind(), (406, "not_acceptable".into()));
}

#[test]
fn custom_attributes_and_the_request_id_are_passed_back() {
    let server = Server::start(options());
    for body in [b"word".as_slice(), b"undecodable"] {
        let headers =
            [("x-amzn-sagemaker-custom-attributes", "trace=7; a"), ("x-request-id", "mine-1")];
        let reply = server.client.invoke_with(&headers, "", body);
        assert_eq!(reply.header("x-amzn-sagemaker-custom-attributes"), "trace=7; a");
        assert_eq!(reply.header("x-request-id"), "mine-1");
    }
    let given = server.client.invoke_with(&[("x-request-id", &"x".repeat(200))], "", b"word");
    let other = server.client.invoke("image/jpeg", b"word");
    assert!(given.header("x-request-id").len() < 100);
    assert_ne!(given.header("x-request-id"), other.header("x-request-id"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_can_be_left_out() {
    let mut with_page = options();
    with_page.has_page = true;
    let server = Server::start(with_page);
    let page = server.client.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for path in ["/page.css", "/page.js"] {
        assert!(page.text().contains(&path[1..]) && server.client.get(path).status == 200);
        assert!(!server.client.get(path).text().contains("://"), "{path}");
    }
    let mut without_page = options();
    without_page.has_page = false;
    let server = Server::start(without_page);
    assert_eq!(server.client.get("/").kind(), (404, "not_found".into()));
}

#[test]
fn the_description_of_the_interface_and_the_metrics_are_served() {
    let server = Server::start(options());
    server.client.logits("image/jpeg", b"word");
    let openapi = server.client.get("/openapi.json").json();
    for path in openapi["paths"].as_object().unwrap().keys() {
        if path != "/invocations" {
            assert_eq!(server.client.get(path).status, 200, "{path}");
        }
    }
    let text = server.client.get("/metrics").text();
    for line in [
        "ec2train_requests_total{path=\"/invocations\",status=\"200\"} 1",
        "ec2train_request_duration_seconds_count{path=\"/invocations\"} 1",
        "ec2train_batch_size_bucket{le=\"1.0\"} 1",
        "ec2train_queue_length 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}
