#!/usr/bin/python3
"""The AdmissionReviews recorded from an API server (SHARED, or ../shared, /reviews/*.json): each is posted to both routes
of a server and to the bare function. The answers must be what the API server accepts, equal, patches must apply, and
the patched object must not be patched again."""
import copy
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect, same, show  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline")
EVERYTHING = os.path.join(harness.TOP, "test", "integration", "everything.yaml")


def judge(path, server, driver):
    with open(path, "rb") as file:
        body = file.read()
    request = json.loads(body)
    mutated = harness.answer(server, "/mutate", body)
    judged = harness.answer(server, "/validate", body)
    for route, response in (("/mutate", mutated), ("/validate", judged)):
        other = harness.answer(driver, route, body)
        expect(same(response, other), f"{route}: function and server differ:\n{show(other)}\n{show(response)}")
    if not mutated["operations"]:
        return
    patched = copy.deepcopy(request)
    patched["request"]["object"] = harness.apply(mutated["operations"], request["request"]["object"])
    again = harness.answer(server, "/mutate", patched)
    expect(not again["operations"], f"a second patch: {show(again['operations'])}\nafter {show(mutated['operations'])}")
    harness.answer(server, "/validate", patched)


def main():
    tap, folder = harness.Tap(), harness.shared("reviews")
    if folder is None:
        tap.skip("recorded reviews", f"no folder {harness.SHARED}/reviews")
        tap.finish()
    recorded = [path for path in harness.files(folder, "*.json") if not path.endswith(".response.json")]
    for name, policies in (("baseline", BASELINE), ("everything", EVERYTHING)):
        if not os.path.exists(policies):
            continue

        def all_of_them():
            with harness.Driver([policies]) as driver, harness.Server([policies]) as server:
                for path in recorded:
                    tap.run(f"{name}: {os.path.basename(path)}", judge, path, server, driver)
                expect(server.stop() == 0, f"the server did not end well: {server.logged()}")

        tap.run(f"{name}: server starts and ends well", all_of_them)
    tap.finish()


if __name__ == "__main__":
    main()
