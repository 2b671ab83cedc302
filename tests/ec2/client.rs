//! The client of the metadata service.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use ec2train::run::ec2::instance::Instance;
use ec2train::run::ec2::metadata::MetadataService;
use ec2train::run::ec2::spot::{interruption_notice, rebalance_recommended};
use ec2train::run::watch::Watch;

use super::service::{INSTANCE_ACTION, LIFE_CYCLE, REBALANCE, Service};

#[test]
fn an_instance_says_what_it_is() {
    let stub = Service::start();
    let mut service = MetadataService::at(&format!("{}/", stub.endpoint));
    let instance = Instance::read(&mut service).unwrap().unwrap();
    assert_eq!(instance.to_string(), "t3.medium i-0123456789abcdef0 in us-east-1, spot");
    assert!(instance.may_be_interrupted() && instance.has_cpu_credits());
    stub.answer(LIFE_CYCLE, "on-demand");
    assert!(!Instance::read(&mut service).unwrap().unwrap().may_be_interrupted());
}

#[test]
fn a_notice_is_found_when_it_is_there() {
    let stub = Service::start();
    let mut service = MetadataService::at(&stub.endpoint);
    assert_eq!(interruption_notice(&mut service).unwrap(), None);
    assert!(!rebalance_recommended(&mut service).unwrap());
    let notice = r#"{"action": "terminate", "time": "2026-11-25T08:22:00Z"}"#;
    stub.answer(INSTANCE_ACTION, notice);
    stub.answer(REBALANCE, r#"{"noticeTime": "2026-11-25T08:10:00Z"}"#);
    let notice = interruption_notice(&mut service).unwrap().unwrap();
    assert_eq!(notice.action, "terminate");
    assert_eq!(notice.time.to_string(), "2026-11-25T08:22:00Z");
    assert!(rebalance_recommended(&mut service).unwrap());
}

#[test]
fn an_expired_token_is_renewed() {
    let stub = Service::start();
    let mut service = MetadataService::at(&stub.endpoint);
    assert_eq!(service.get(LIFE_CYCLE).unwrap().as_deref(), Some("spot"));
    stub.expire_tokens();
    assert_eq!(service.get(LIFE_CYCLE).unwrap().as_deref(), Some("spot"));
}

#[test]
fn a_service_that_never_answers_delays_nothing() {
    // The kernel accepts connections; nobody reads them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let started = Instant::now();
    let watch = Watch::on("/proc/stat".into(), Some(MetadataService::at(&endpoint)));
    assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
    let observed = watch.end(1.0);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!((observed.instance, observed.estimate), (None, None));
    assert!(!observed.timeline.samples.is_empty());
}
