"""Holds a training job's JSON to AWS's own description of CreateTrainingJob, and its metric definitions to
the log of a job: each has to find something.

    check_job.py JOB.json LOG
"""

import json
import re
import sys
from pathlib import Path

import botocore.session
from botocore.validate import ParamValidator

job_path, log_path = sys.argv[1:]
job = json.loads(Path(job_path).read_text())
model = botocore.session.get_session().get_service_model("sagemaker")
report = ParamValidator().validate(job, model.operation_model("CreateTrainingJob").input_shape)
if report.has_errors():
    sys.exit(f"{job_path}: {report.generate_report()}")

log = Path(log_path).read_text()
for definition in job["AlgorithmSpecification"]["MetricDefinitions"]:
    values = re.findall(definition["Regex"], log)
    if not values or not all(float(value) >= 0 for value in values):
        sys.exit(f"{job_path}: {definition['Name']} finds {values} in the log")
    print(f"{definition['Name']}: {len(values)} values, the last {values[-1]}")
