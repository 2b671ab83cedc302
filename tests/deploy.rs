//! The CloudFormation templates: what the policies allow, and the figures that are deployed by default.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_yaml_ng::Value;
use serde_yaml_ng::value::TaggedValue;

/// Statements whose resource is `*`, and why none can be named.
const WITHOUT_RESOURCE: [(&str, &str); 3] = [
    ("LogInToRegistry", "ecr:GetAuthorizationToken has no resource: the token is the registry's"),
    ("WriteEndpointMetrics", "cloudwatch:PutMetricData has none: a condition names the namespace"),
    ("WriteJobMetrics", "as WriteEndpointMetrics"),
];

/// A template, with `!Sub "x"` and `!Sub ["x", ...]` as "x" and other tags as what they hold.
fn template(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let value: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    without_tags(value)
}

fn without_tags(value: Value) -> Value {
    match value {
        Value::Tagged(tagged) => {
            let TaggedValue { tag, value } = *tagged;
            match value {
                Value::Sequence(mut items) if tag == "!Sub" => items.swap_remove(0),
                value => without_tags(value),
            }
        }
        Value::Sequence(items) => items.into_iter().map(without_tags).collect(),
        Value::Mapping(map) => {
            Value::Mapping(map.into_iter().map(|(key, value)| (key, without_tags(value))).collect())
        }
        value => value,
    }
}

/// The texts of a string or a list of strings.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Sequence(items) => items.iter().flat_map(texts).collect(),
        other => panic!("neither text nor list: {other:?}"),
    }
}

/// Every statement that lets a role do something, with the name of its resource in the template.
fn statements() -> Vec<(String, Value)> {
    let template = template("template.yaml");
    let mut statements = Vec::new();
    for (name, resource) in template["Resources"].as_mapping().unwrap() {
        let properties = &resource["Properties"];
        let inline = properties["Policies"].as_sequence().into_iter().flatten();
        let documents = inline.map(|policy| &policy["PolicyDocument"]);
        for document in documents.chain([&properties["PolicyDocument"]]) {
            for statement in document["Statement"].as_sequence().into_iter().flatten() {
                statements.push((name.as_str().unwrap().to_owned(), statement.clone()));
            }
        }
    }
    statements
}

#[test]
fn no_role_has_a_policy_of_aws() {
    for name in ["template.yaml", "artifacts.yaml"] {
        for (resource, value) in template(name)["Resources"].as_mapping().unwrap() {
            assert!(value["Properties"].get("ManagedPolicyArns").is_none(), "{resource:?}");
        }
    }
}

#[test]
fn no_action_is_a_wildcard_and_only_known_resources_are() {
    let mut without_resource = BTreeSet::new();
    let statements = statements();
    assert!(statements.len() >= 10, "{}", statements.len());
    for (name, statement) in statements {
        assert_eq!(statement["Effect"], "Allow", "{name}");
        for action in texts(&statement["Action"]) {
            assert!(!action.contains('*'), "{name}: {action}");
        }
        let sid = statement["Sid"].as_str().unwrap();
        for resource in texts(&statement["Resource"]) {
            if resource == "*" {
                without_resource.insert(sid.to_owned());
                continue;
            }
            // What follows names streams in a group or objects below a prefix.
            let (named, rest) = resource.split_once('*').unwrap_or((&resource, ""));
            assert!(named.starts_with("arn:${AWS::Partition}:"), "{name}/{sid}: {resource}");
            assert!(
                rest.is_empty()
                    && (!resource.ends_with('*')
                        || named.contains(":log-group:/")
                        || named.ends_with('/')),
                "{name}/{sid}: {resource}"
            );
        }
    }
    let known: BTreeSet<String> = WITHOUT_RESOURCE.map(|(sid, _)| sid.to_owned()).into();
    assert_eq!(without_resource, known);
}

#[test]
fn the_function_may_call_one_endpoint_and_write_its_log() {
    let template = template("template.yaml");
    let resources = template["Resources"].as_mapping().unwrap();
    let mut allowed = BTreeSet::new();
    for (name, resource) in resources {
        let attached = resource["Properties"]["Roles"].as_sequence().into_iter().flatten();
        if resource["Type"] == "AWS::IAM::Policy"
            && resource.get("Condition").is_none()
            && attached.into_iter().any(|role| role == "FunctionRole")
        {
            for statement in
                resource["Properties"]["PolicyDocument"]["Statement"].as_sequence().unwrap()
            {
                for action in texts(&statement["Action"]) {
                    allowed.insert((action, texts(&statement["Resource"]).join(" ")));
                }
            }
            assert!(name.as_str().unwrap().starts_with("Function"));
        }
    }
    let place = "${AWS::Region}:${AWS::AccountId}";
    let log = format!(
        "arn:${{AWS::Partition}}:logs:{place}:log-group:/aws/lambda/${{FunctionName}}:log-stream:*"
    );
    let endpoint = format!("arn:${{AWS::Partition}}:sagemaker:{place}:endpoint/${{EndpointName}}");
    let expected = [
        ("logs:CreateLogStream".to_owned(), log.clone()),
        ("logs:PutLogEvents".to_owned(), log),
        ("sagemaker:InvokeEndpoint".to_owned(), endpoint),
    ];
    assert_eq!(allowed, BTreeSet::from(expected));
    assert!(resources["FunctionRole"]["Properties"].get("Policies").is_none());
}

#[test]
fn the_write_ups_figures_are_the_defaults() {
    let template = template("template.yaml");
    for (parameter, expected) in [
        ("ReservedConcurrency", 5),
        ("ProvisionedConcurrency", 2),
        ("MinInstances", 1),
        ("MaxInstances", 2),
        ("ScaleInCooldown", 300),
        ("ScaleOutCooldown", 30),
        ("LogRetentionDays", 30),
    ] {
        assert_eq!(template["Parameters"][parameter]["Default"], expected, "{parameter}");
    }
}

#[test]
fn every_log_group_forgets_and_every_alarm_says_what_to_do() {
    let template = template("template.yaml");
    for (name, resource) in template["Resources"].as_mapping().unwrap() {
        let properties = &resource["Properties"];
        match resource["Type"].as_str().unwrap() {
            "AWS::Logs::LogGroup" => assert_eq!(properties["RetentionInDays"], "LogRetentionDays"),
            "AWS::CloudWatch::Alarm" => {
                assert!(properties.get("AlarmDescription").is_some(), "{name:?}");
                assert_eq!(properties["TreatMissingData"], "notBreaching", "{name:?}");
            }
            _ => {}
        }
    }
}
