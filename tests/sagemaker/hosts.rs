//! A job on two hosts.

use super::container::{Container, finished, names};

/// Names that resolve everywhere.
const HOSTS: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

#[test]
fn two_hosts_share_the_work_and_one_saves_the_model_of_a_single_host() {
    let containers = HOSTS.map(|host| {
        let container = Container::with_features();
        // Both have to compute.
        std::fs::remove_dir_all(container.path("checkpoints/features")).unwrap();
        let config = serde_json::json!({ "current_host": host, "hosts": HOSTS });
        container.write_config("resourceconfig.json", &config.to_string());
        container
    });
    let processes = containers.each_ref().map(|container| container.start(&["train"]));
    for (mut process, container) in processes.into_iter().zip(&containers) {
        let status = process.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", process.log());
        assert!(!process.log().contains(", 0 of them by this one"), "{}", process.log());
        assert_eq!(container.failure(), None);
    }
    let [first, second] = &containers;
    assert!(first.model() == finished().model());
    assert_eq!(first.metadata()["cost"]["world_size"], 2);
    assert!(names(&second.path("model")).is_empty());
    assert_eq!(names(&second.path("checkpoints")), ["rank-1"]);
}
