"""Prints a Dockerfile for shells: a line per instruction, `INSTRUCTION<TAB>VALUE`."""

import sys

from dockerfile_parse import DockerfileParser

with open(sys.argv[1], "rb") as file:
    for instruction in DockerfileParser(fileobj=file).structure:
        if instruction["instruction"] != "COMMENT":
            print(instruction["instruction"], " ".join(instruction["value"].split()), sep="\t")
