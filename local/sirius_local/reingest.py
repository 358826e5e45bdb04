"""Ingests the archived reports of a running stack again, under the numbers of their scans."""

import json

from . import deploy, serve
from .call import call
from .console import Failure, step
from .paths import StateDirectory

_TALLY = ("reingested", "not_archived", "failed")


def reingest(state: StateDirectory) -> None:
    """Calls the function until it has been through all scans, and prints the counts."""
    server = serve.running(state)
    deployment = deploy.recorded(state)
    if server is None or deployment is None or "ReingestName" not in deployment.outputs:
        raise Failure("nothing is deployed that could do it: make up")
    tally = dict.fromkeys(_TALLY, 0)
    after: int | None = 0
    while after is not None:
        answer = call(server, deployment, "ReingestName", {"after": after})
        for name in _TALLY:
            tally[name] += answer[name]
        onward = answer["next_after"]
        if onward is not None:
            if onward <= after:
                raise Failure(f"no scan after {after} could be worked at in time")
            step(f"the scans up to {onward} are done")
        after = onward
    print(json.dumps(tally))
    if tally["failed"]:
        raise Failure("not every scan was ingested again: make logs says why. Calling it again is safe")
