"""Holds the metrics of a run against TensorBoard and CloudWatch. Called by check_metrics.sh."""

import json
import re
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import jsonschema
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PROGRAM = Path("target/release/ec2train").resolve()
AGENT_CONFIG = Path("deploy/cloudwatch/amazon-cloudwatch-agent.json")
DEADLINE = 300
work, agent_schema = Path(sys.argv[1]), Path(sys.argv[2])
models = work / "TrainedModels/sample"

# Amazon CloudWatch User Guide, "Embedded metric format JSON schema", with the units of the API's
# MetricDatum and the limits of the specification's text.
SIZES = ["Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"]
SIZES += ["Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Count"]
UNITS = SIZES + [size + "/Second" for size in SIZES]
UNITS += ["Seconds", "Microseconds", "Milliseconds", "Percent", "None"]
NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
EMF_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 0},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": NAME,
                                        "Unit": {"enum": UNITS},
                                        "StorageResolution": {"enum": [1, 60]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


def check(ok, text):
    print("ok    " if ok else "FAILED", text, flush=True)
    if not ok:
        sys.exit(1)


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def curves_of(lines):
    """What TensorBoard is to show: {tag: [(step, value)]}."""
    curves = {}

    def add(tag, step, value):
        curves.setdefault(tag, []).append((step, f32(value)))

    for line in lines:
        match line["event"]:
            case "epoch":
                add("learning_rate", line["epoch"], line["learning_rate"])
                for split in ("train", "valid"):
                    for name in ("loss", "top1_accuracy", "top5_accuracy"):
                        add(f"{name}/{split}", line["epoch"], line[split][name])
            case "result":
                for name in ("loss", "top1_accuracy", "top5_accuracy"):
                    add(f"{name}/test", line["best_epoch"], line["test"][name])
            case "machine":
                step = round(1000 * line["seconds"])
                for name in ("busy", "steal", "iowait"):
                    add(f"machine/cpu_{name}", step, line[name])
                add("machine/resident_bytes", step, line["resident_bytes"])
                if "images_per_second" in line:
                    add("features/images_per_second", step, line["images_per_second"])
    return curves


# --- TensorBoard ------------------------------------------------------------------------------------


@contextmanager
def tensorboard(logdir, *arguments):
    """The address of a server that reads `logdir`."""
    command = [Path(sys.executable).parent / "tensorboard", "--logdir", logdir, "--port", "0"]
    log = open(work / "tensorboard.log", "w+")
    server = subprocess.Popen([*command, "--reload_interval", "1", *arguments], stderr=log, stdout=log)
    try:
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(r"at (http://\S+?)/? ", Path(log.name).read_text())):
            assert server.poll() is None and time.monotonic() < deadline, Path(log.name).read_text()
            time.sleep(0.1)
        yield found[1]
    finally:
        server.terminate()
        server.wait()


def ask(address, path, **query):
    url = f"{address}/data/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=60) as reply:
        return json.load(reply)


def wait_for(what, condition):
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        if time.monotonic() > deadline:
            check(False, f"{what}: not within {DEADLINE} s")
        time.sleep(0.2)
    return value


def check_served(address, run, curves, what):
    def tags():
        served = ask(address, "plugin/scalars/tags").get(run, {})
        return served if set(served) >= set(curves) else None

    served = wait_for(what, tags)
    check(set(served) == set(curves), f"{what}: {len(served)} curves, those of metrics.jsonl")

    def points(tag):
        rows = ask(address, "plugin/scalars/scalars", run=run, tag=tag)
        return [(step, value) for _, step, value in rows]

    for tag, expected in curves.items():
        wait_for(f"{what}: {tag}", lambda: len(points(tag)) == len(expected))
        if points(tag) != expected:
            check(False, f"{what}: {tag}: {points(tag)} instead of {expected}")
    num_points = sum(map(len, curves.values()))
    check(True, f"{what}: all {num_points} points, equal to metrics.jsonl in f32")


# --- A run, followed --------------------------------------------------------------------------------

(models / "runs").mkdir(parents=True)
with tensorboard(models / "runs") as address, open(work / "run.log", "w+") as log:
    run = subprocess.Popen([PROGRAM, "train", "--sample"], cwd=work, stderr=log, stdout=log)

    def served_live():
        if run.poll() is not None:
            check(False, "TensorBoard shows the run while it goes on")
        tags = ask(address, "plugin/scalars/tags").get("live", {})
        return "features/images_per_second" in tags

    wait_for("the run that goes on", served_live)
    check((models / "runs/live/metrics.jsonl").exists(), "TensorBoard shows the run while it goes on, as `live`")
    check(run.wait() == 0, f"the run ends with 0: {(work / 'run.log').read_text().splitlines()[-1]}")

    lines = json_lines(models / "metrics.jsonl")
    curves = curves_of(lines)
    run_id = (models / "current").resolve().name
    check_served(address, run_id, curves, "TensorBoard, the same server")
    wait_for("live is gone", lambda: ask(address, "runs") == [run_id])
    check(True, "TensorBoard drops `live` when the run has ended")

for arguments in (["--load_fast", "true"], ["--load_fast", "false"]):
    with tensorboard(models / "runs", *arguments) as address:
        check_served(address, run_id, curves, f"tensorboard {' '.join(arguments)}")

[event_file] = (models / "current").glob("events.out.tfevents.*")
accumulator = EventAccumulator(str(event_file), size_guidance={"scalars": 0}).Reload()
read = {
    tag: [(point.step, point.value) for point in accumulator.Scalars(tag)]
    for tag in accumulator.Tags()["scalars"]
}
check(read == curves, f"EventAccumulator: {len(read)} curves, equal to metrics.jsonl in f32")

# --- CloudWatch -------------------------------------------------------------------------------------

for path in (models / "current/metrics.emf.jsonl", models / "log/metrics.emf.jsonl"):
    validator = jsonschema.Draft202012Validator(EMF_SCHEMA)
    documents = json_lines(path)
    for document in documents:
        validator.validate(document)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                assert type(document[metric["Name"]]) in (int, float), metric
            for dimension in sum(directive["Dimensions"], []):
                assert 1 <= len(document[dimension]) <= 1024, dimension
    names = {
        metric["Name"]
        for document in documents
        for directive in document["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }
    check(len(names) == 17, f"{path.name}: {len(documents)} valid lines, {len(names)} metrics")

config = json.loads(AGENT_CONFIG.read_text().replace("@DIR@", str(work)))
paths = [entry["file_path"] for entry in config["logs"]["logs_collected"]["files"]["collect_list"]]
check(
    paths[0] == str(work / "TrainedModels/log/metrics.emf.jsonl")
    and (models / "log/metrics.emf.jsonl").exists(),
    f"{AGENT_CONFIG}: ships the file that runs write",
)
if agent_schema.is_file():
    schema = json.loads(agent_schema.read_text())
    jsonschema.Draft4Validator(schema).validate(config)
    check(True, f"{AGENT_CONFIG}: valid by the schema of the agent")
else:
    print("SKIPPED the schema of CloudWatch's agent: the agent is not installed here", file=sys.stderr)
