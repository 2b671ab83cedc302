"""Runs schemathesis against a server: what it answers must be what /openapi.json says."""

import argparse
import subprocess
import sys
from pathlib import Path

from running import Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--examples", type=int, default=100)
    arguments = parser.parse_args()
    with Server(arguments.program, arguments.sample) as server:
        schemathesis = Path(sys.executable).with_name("schemathesis")
        command = [schemathesis, "run", f"{server.url}/openapi.json", "--checks", CHECKS, "--seed", "133"]
        command += ["--max-examples", str(arguments.examples), "--phases", "examples,coverage,fuzzing", "--no-color"]
        code = subprocess.run(command).returncode
    if code != 0:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
