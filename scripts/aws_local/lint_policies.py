"""Holds every policy of the CloudFormation templates against parliament.

    python -m aws_local.lint_policies TEMPLATE...

Ends with 1 and the findings when there are any.
"""

import json
import re
import sys

import parliament
from cfnlint.decode import decode

PLACES = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}


def resolve(value):
    """`Fn::Sub` with made-up values; what else refers to something becomes a word."""
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda m: PLACES.get(m[1], "example"), value["Fn::Sub"])
    if "Ref" in value or "Fn::GetAtt" in value:
        return PLACES.get(value.get("Ref"), "example")
    return {key: resolve(item) for key, item in value.items()}


def policies(resources):
    """The policies of roles and of their attachments: name and document."""
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Policy":
            yield name, properties["PolicyDocument"]
        for policy in properties.get("Policies", []):
            yield f"{name}/{policy['PolicyName']}", policy["PolicyDocument"]


found = count = 0
for path in sys.argv[1:]:
    template, problems = decode(path)
    assert not problems, problems
    for name, document in policies(template["Resources"]):
        count += 1
        # Through JSON, which leaves cfn-lint's own types behind.
        text = json.dumps(resolve(json.loads(json.dumps(document))))
        for finding in parliament.analyze_policy_string(text).findings:
            finding = parliament.enhance_finding(finding)
            found += 1
            print(f"{path}: {name}: {finding.severity} {finding.title}: {finding.detail}")
print(f"parliament: {count} policies, {found} findings")
sys.exit(found > 0)
