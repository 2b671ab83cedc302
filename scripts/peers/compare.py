"""Runs the contestants in turn and reports; compare_peers.sh installs what it needs and calls it."""

import argparse
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import machine
import processes
import subset
import table
from contestants import EC2TRAIN, Converted, all_contestants, environment
from dataset import Dataset, find_weights

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parent.parent / ".venv-peers/bin/python"
PACKAGES = ("torch", "torchvision", "openvino", "onnxruntime", "pillow", "numpy")
NUM_CHECKED = 16
TIMEOUT_S = 6 * 3600


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/compare_peers.sh",
        description="Times ec2train beside other ways to train the same head, whole processes in turn.",
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with dogImages and weights (default: data)")
    parser.add_argument("--images", type=int, help="use the first images of each class, this many in all (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant (default: 5)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="contestants, for instance b,e (default: all)")
    parser.add_argument("--threads", type=int, help="CPUs each contestant may use (default: all)")
    parser.add_argument("--isa", choices=machine.CAPS, help="hold every contestant to this level, for instance AVX512_CORE")
    parser.add_argument("--original-epochs", type=int, default=1, metavar="N",
                        help=f"epochs that (a) runs of its {table.EPOCHS}; the rest is computed from them (default: 1)")
    parser.add_argument("--check", action="store_true", help="only compare the features of a few photographs")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run")
    options = parser.parse_args()
    allowed = len(os.sched_getaffinity(0))
    options.threads = options.threads or allowed
    if not 1 <= options.threads <= allowed:
        parser.error(f"--threads must be 1 to {allowed}")
    if options.rounds < 1 or not 1 <= options.original_epochs <= table.EPOCHS:
        parser.error(f"--rounds must be at least 1, --original-epochs 1 to {table.EPOCHS}")
    # Not resolved: a virtual environment's python is a link.
    options.ec2train = Path(os.environ.get("EC2TRAIN", "target/release/ec2train")).absolute()
    options.work = Path("target/compare_peers").absolute()
    options.output = Path("TrainedModels/bench").absolute()
    return options


class Comparison:
    """The contestants that were asked for, and where they run."""

    def __init__(self, options):
        self.options = options
        self.cpus = sorted(os.sched_getaffinity(0))[: options.threads]
        self.weights = find_weights(options.data / "weights")
        caches = options.work / "caches"
        self.converted = Converted(caches, self.weights, options.isa)
        contestants = all_contestants(
            PYTHON, options.ec2train, self.converted, caches, options.threads, options.original_epochs
        )
        keys = [contestant.key for contestant in contestants]
        asked = options.only or keys
        if unknown := sorted(set(asked) - set(keys)):
            sys.exit(f"compare_peers: error: --only knows {', '.join(keys)}, not {', '.join(unknown)}")
        self.contestants = [contestant for contestant in contestants if contestant.key in asked]

    def command(self, contestant, *more):
        return ["taskset", "--cpu-list", ",".join(map(str, self.cpus)), *contestant.command, *more]

    def environment(self, contestant):
        return environment(contestant, self.options.threads, self.options.isa)

    def print_plan(self):
        print(f"{self.options.rounds} rounds, {machine.level(self.options.isa)}, in {self.options.work}:")
        for contestant in self.contestants:
            settings = {"OMP_NUM_THREADS": self.options.threads, **machine.caps_environment(self.options.isa), **contestant.env}
            print(f"({contestant.key})", *(f"{name}={value}" for name, value in settings.items()), shlex.join(self.command(contestant)))

    def convert(self):
        """Makes the files the contestants load, where they are missing."""
        for file, arguments in self.converted.conversions().items():
            if not file.exists():
                say(f"converting the backbone to {file.name}")
                command = [PYTHON, HERE / "convert.py", self.weights, file, *arguments]
                env = {**os.environ, **machine.caps_environment(self.options.isa)}
                subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)

    def run(self, contestant, inputs, *more):
        """One measured run in a fresh working directory: a record of it, and that directory."""
        run_dir = subset.fresh_run_dir(inputs, self.options.work / "run")
        log = self.options.work / f"{contestant.key}.log"
        measured = processes.measure(
            self.command(contestant, *more), run_dir, self.environment(contestant), log, TIMEOUT_S
        )
        record = {"key": contestant.key, **asdict(measured), "peak_memory_bytes": measured.peak_memory_bytes}
        record["failure"] = failure_of(measured, run_dir, log)
        record["ok"] = record["failure"] is None
        if record["ok"]:
            record["report"] = report_of(contestant, run_dir)
        return record, run_dir

    def check(self):
        """Compares features; the run also fills every cache. Returns what the result says of it."""
        import check

        inputs = self.options.work / "check-inputs"
        num_images = subset.build_inputs(self.options.data / "dogImages", self.weights, inputs, NUM_CHECKED)
        features = {}
        for contestant in self.contestants:
            if not contestant.computes_features:
                continue
            say(f"check: ({contestant.key}) {contestant.name}")
            ours = contestant.key == EC2TRAIN
            record, run_dir = self.run(contestant, inputs, *([] if ours else ["--dump-features"]))
            if not record["ok"]:
                say(f"check: ({contestant.key}) failed: {record['failure']}")
            elif ours:
                features[contestant.key] = check.features_of_ec2train(
                    self.options.ec2train, run_dir, self.environment(contestant)
                )
            else:
                features[contestant.key] = check.features_of_peer(run_dir)
        pairs = check.compare(features)
        limit = check.MIN_COSINE_BF16 if machine.has_bf16(self.options.isa) else check.MIN_COSINE_FP32
        passed = len(features) == sum(contestant.computes_features for contestant in self.contestants)
        for pair, same in pairs.items():
            equal = same["smallest_cosine"] >= limit and same["matched"] == 1
            passed = passed and equal
            say(
                f"check: {'ok' if equal else 'FAILED'}: features of {pair}: smallest cosine {same['smallest_cosine']:.7f} "
                f"(at least {limit}), {100 * same['matched']:.0f} % nearest to the same photograph's"
            )
        smallest = min((same["smallest_cosine"] for same in pairs.values()), default=None)
        return {"num_images": num_images, "pairs": pairs, "smallest_cosine": smallest, "passed": passed}


def main():
    options = parse()
    comparison = Comparison(options)
    if options.dry_run:
        comparison.print_plan()
        return 0
    if any(contestant.key == EC2TRAIN for contestant in comparison.contestants) and not os.access(options.ec2train, os.X_OK):
        sys.exit(f"compare_peers: error: no program {options.ec2train}: cargo build --release, or set EC2TRAIN")
    options.work.mkdir(parents=True, exist_ok=True)
    comparison.convert()
    checked = comparison.check()
    if options.check:
        return 0 if checked["passed"] else 1

    inputs = options.work / "inputs"
    num_images = subset.build_inputs(options.data / "dogImages", comparison.weights, inputs, options.images)
    subset.warm_page_cache(inputs)
    results = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(options.isa, options.threads),
        "versions": versions(options.ec2train),
        "weights": comparison.weights.name,
        "num_images": num_images,
        "num_classes": len(Dataset(inputs / "data/dogImages").class_names),
        "contestants": [{"key": contestant.key, "name": contestant.name} for contestant in comparison.contestants],
        "check": checked,
        "runs": [],
    }
    for number in range(1, options.rounds + 1):
        for contestant in comparison.contestants:
            record, _ = comparison.run(contestant, inputs)
            results["runs"].append({"round": number, **record})
            say(f"round {number}: ({contestant.key}) {contestant.name}: " + (record["failure"] or f"{record['wall_s']:.1f} s"))
            write(options.output, results)
    print(table.render(results), end="")
    say(f"wrote {options.output}/peers.json and peers.md")
    failed = [run for run in results["runs"] if not run["ok"]]
    return 1 if failed or not checked["passed"] else 0


def failure_of(measured, run_dir, log):
    """Why a run does not count, or None."""
    if measured.timed_out:
        return f"still running after {TIMEOUT_S} s"
    if measured.exit_code != 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        return f"exit code {measured.exit_code}: {lines[-1][:200] if lines else 'no output'} (all of it: {log})"
    if not (run_dir / "TrainedModels/model.pth").is_file():
        return "saved no TrainedModels/model.pth"
    return None


def report_of(contestant, run_dir):
    """What a run says of itself, in the members of peer.json."""
    if contestant.key != EC2TRAIN:
        report = json.loads((run_dir / "TrainedModels/peer.json").read_text())
        report["features_s"] = report["stages_s"].get("features")
        return report
    metadata = json.loads((run_dir / "TrainedModels/model.json").read_text())
    cost, metrics = metadata["cost"], metadata["metrics"]
    return {
        "num_images": sum(split["num_samples"] for split in metrics.values()),
        "configuration": f"{cost['num_workers']} workers, {metadata['num_epochs']} epochs of the head",
        "stages_s": {"features": cost["features_seconds"], "fit": cost["fit_seconds"]},
        "features_s": cost["features_seconds"],
        "test_top1": metrics["test"]["top1_accuracy"],
        "valid_top1": metrics["valid"]["top1_accuracy"],
    }


def versions(ec2train):
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    try:
        output = subprocess.run([ec2train, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        found["ec2train"] = output.split()[-1]
    except (OSError, subprocess.CalledProcessError, IndexError):
        pass  # It is not among the contestants.
    return found


def write(output, results):
    """Replaces both files, so an interrupted comparison keeps the runs it finished."""
    output.mkdir(parents=True, exist_ok=True)
    for name, text in (("peers.json", json.dumps(results, indent=2) + "\n"), ("peers.md", table.render(results))):
        unfinished = output / f".{name}"
        unfinished.write_text(text)
        unfinished.replace(output / name)


def say(text):
    print(f"compare_peers: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
