#!/usr/bin/env python3
"""Runs Sirius on this machine: AWS's services by ministack, the functions as compiled binaries.

    up       start the stack, build and deploy template.yaml to it; safe to repeat
    down     stop it
    run      run one command with a stack of its own: run -- cargo test
    demo     up, then send a sample report and show the answers
    logs     show the logs of the functions
    reingest ingest all archived reports again, under the numbers of their scans
    check-template  lint template.yaml, as written and as SAM translates it
    docs     write docs/PARAMETERS.md from template.yaml
    package  build the release packages for Lambda
    install  prepare one of the tool sets in local/requirements/, or llm: the bundled model

Findings are analysed by the Ollama host of $OLLAMA_URL (and its model $OLLAMA_MODEL) if it answers, else
by a very small bundled model behind a bridge.
"""

from __future__ import annotations  # lets a Python that is too old reach the version check

import argparse
import os
import sys

from sirius_local import console, install


def arguments() -> argparse.ArgumentParser:
    """Returns the command line."""
    parser = argparse.ArgumentParser(
        prog="local/stack.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    deploying = argparse.ArgumentParser(add_help=False)
    deploying.add_argument(
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of template.yaml; may be repeated",
    )
    deploying.add_argument(
        "--no-model", action="store_true", help="start no model, use none: findings cannot be analysed"
    )
    commands.add_parser("up", parents=[deploying])
    commands.add_parser("down")
    run = commands.add_parser("run", parents=[deploying])
    run.add_argument("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM ...")
    commands.add_parser("demo", parents=[deploying])
    commands.add_parser("logs").add_argument("--lines", type=int, default=100)
    commands.add_parser("reingest")
    commands.add_parser("check-template")
    commands.add_parser("docs")
    package = commands.add_parser("package")
    package.add_argument("--architecture", choices=["x86-64", "arm64"], help="with cargo-lambda; default: this machine's")
    package.add_argument("functions", nargs="*", metavar="FUNCTION", help="default: all")
    commands.add_parser("install").add_argument("tools", choices=[*install.available(), "llm"])
    return parser


def main() -> int:
    """Runs the command and returns its exit code."""
    if sys.version_info < (3, 10):
        raise console.Failure(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}")
    args = arguments().parse_args()
    if args.command == "install":
        return prepare(args.tools)
    if args.command == "package":
        from sirius_local.release import release

        release(args.architecture, args.functions)
        return 0
    if args.command == "down":
        return end()
    # Everything else needs SAM's transform or boto3, which live in the project's venv.
    install.continue_inside("stack")
    if args.command == "check-template":
        from sirius_local.check_template import check

        return check()
    if args.command == "docs":
        from sirius_local.parameters import write

        write()
        return 0
    return execute(args)


def prepare(tools: str) -> int:
    """Installs a tool set."""
    from sirius_local import bridge

    if tools == "llm":
        bridge.install()
    else:
        install.install(tools)
    return 0


def end() -> int:
    """Stops the local stack."""
    from sirius_local import lock
    from sirius_local.down import down
    from sirius_local.paths import DEVELOPER_STATE as state

    with lock.hold(state.changing):
        console.step("stopped" if down(state) else "nothing was running")
    return 0


def execute(args: argparse.Namespace) -> int:
    """Runs a command that needs the venv."""
    from sirius_local import demo, logs, reingest, run, up
    from sirius_local.model import Wish
    from sirius_local.paths import DEVELOPER_STATE as state

    keep_off_proxies()
    if args.command == "logs":
        logs.show(state, args.lines)
    elif args.command == "reingest":
        reingest.reingest(state)
    elif args.command == "run":
        wish = Wish.NONE if args.no_model else Wish.NEEDED
        return run.run(args.program, parameters(args.parameter), wish)
    else:
        wish = Wish.NONE if args.no_model else Wish.IF_POSSIBLE
        stack = up.up(state, parameters(args.parameter), wish)
        console.step(f"serving {stack.deployment.api_url}")
        if args.command == "demo":
            demo.demo(stack)
    return 0


def parameters(assignments: list[str]) -> dict[str, str]:
    """Returns the --parameter options as a dictionary."""
    pairs = [assignment.partition("=") for assignment in assignments]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise console.Failure(f"--parameter wants NAME=VALUE, not {name!r}")
    return {name: value for name, _, value in pairs}


def keep_off_proxies() -> None:
    """Keeps this process and what it starts from asking a proxy for 127.0.0.1."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1"]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except console.Failure as failure:
        console.fail(failure)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
