"""The Markdown table of a comparison."""

from statistics import median, quantiles

from contestants import EC2TRAIN, ORIGINAL

EPOCHS = 5
# Runs in which others took more of the machine than this are pointed out.
DISTURBED = 0.05


def wall_of(run):
    """Seconds from start to saved model; the original's are scaled to all its epochs."""
    epoch_s = run.get("report", {}).get("epoch_s")
    if not epoch_s:
        return run["wall_s"]
    return run["wall_s"] + (EPOCHS - len(epoch_s)) * sum(epoch_s) / len(epoch_s)


def quartiles(values):
    """First quartile, median, third quartile; of one value, that value."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, median(values), third


def ratios(runs, key):
    """Wall time over ec2train's in the same round, of all rounds that both finished."""
    ours = {run["round"]: wall_of(run) for run in runs if run["key"] == EC2TRAIN and run["ok"]}
    return [wall_of(run) / ours[run["round"]] for run in runs if run["key"] == key and run["ok"] and run["round"] in ours]


def render(results):
    """Lines of Markdown: what it ran on, the table, its notes."""
    machine, runs = results["machine"], results["runs"]
    used = machine["level_used"] + (" (capped)" if machine["cap"] else "")
    lines = [
        f"{results['num_images']} photographs, {results['num_classes']} classes, {machine['threads']} threads of "
        f"{machine['cpu']} ({machine['cpu_family_model_stepping']}, {used}), {results['date']}. "
        "Whole processes, from JPEG files to a saved model, in turn.",
        "",
        "| | rounds | median | quartiles | time / ec2train | images/s | peak memory | of that: features | top-1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for contestant in results["contestants"]:
        lines.append(row(contestant, runs))
    lines += ["", *notes(results)]
    return "\n".join(lines) + "\n"


def row(contestant, runs):
    key, name = contestant["key"], contestant["name"]
    label = f"({key}) {name}"
    mine = [run for run in runs if run["key"] == key]
    good = [run for run in mine if run["ok"]]
    if not good:
        return f"| {label} | {'failed' if mine else 'not run'} | | | | | | | |"
    first, middle, third = quartiles([wall_of(run) for run in good])
    by_round = ratios(runs, key)
    ratio = f"{median(by_round):.2f}" if by_round else ""
    report = good[-1].get("report", {})
    features = [run["report"]["features_s"] for run in good if run.get("report", {}).get("features_s")]
    accuracy = report.get("test_top1")
    return (
        f"| {label} | {len(good)} of {len(mine)} | {middle:.1f} s | {first:.1f}-{third:.1f} s | {ratio} "
        f"| {report['num_images'] / middle:.2f} | {median(run['peak_memory_bytes'] for run in good) / 1e6:.0f} MB "
        f"| {f'{median(features):.1f} s' if features else ''} "
        f"| {'' if accuracy is None else f'{100 * accuracy:.1f} %'} |"
    )


def notes(results):
    runs = results["runs"]
    lines = []
    for contestant in results["contestants"]:
        reports = [run["report"] for run in runs if run["key"] == contestant["key"] and run["ok"]]
        if reports:
            lines.append(f"- ({contestant['key']}) {reports[-1]['configuration']}. {stages_of(reports)}")
    epochs = {run["report"]["epochs"] for run in runs if run["key"] == ORIGINAL and run["ok"]}
    for count in epochs - {EPOCHS}:
        lines.append(
            f"- ({ORIGINAL}) ran {count} of {EPOCHS} epochs; its time is that run's plus {EPOCHS - count} times its mean epoch."
        )
    checked = results["check"]
    if checked["pairs"]:
        lines.append(f"- Features of {checked['num_images']} photographs, smallest cosine between any two: {checked['smallest_cosine']:.6f}.")
    disturbed = [run for run in runs if run["others"] > DISTURBED]
    if disturbed:
        worst = max(run["others"] for run in disturbed)
        lines.append(
            f"- In {len(disturbed)} of {len(runs)} runs others took more than {100 * DISTURBED:.0f} % of the machine "
            f"(at most {100 * worst:.0f} %): " + ", ".join(f"{run['key']} in round {run['round']}" for run in disturbed) + "."
        )
    for run in runs:
        if not run["ok"]:
            lines.append(f"- ({run['key']}) failed in round {run['round']}: {run['failure']}")
    lines.append("- Top-1 on the test split; images/s are photographs over the median of the whole process.")
    lines.append("- Versions: " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + ".")
    return lines


def stages_of(reports):
    """Median seconds of each stage that all runs have."""
    names = [name for name in reports[-1].get("stages_s", {}) if all(name in report["stages_s"] for report in reports)]
    if not names:
        return ""
    return "Stages: " + ", ".join(f"{name} {median(report['stages_s'][name] for report in reports):.1f} s" for name in names) + "."
