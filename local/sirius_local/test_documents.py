"""That what the documents say in numbers and names is what the template and the code say."""

import re
import unittest
from typing import Any

from sirius_local import template
from sirius_local.paths import ROOT


def read(name: str) -> str:
    """A file of the project."""
    return (ROOT / name).read_text()


def documents() -> dict[str, str]:
    """README.md and what is in docs/, by name."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text() for file in files}


class Template(unittest.TestCase):
    """What stands in template.yaml."""

    source = template.read()
    operations = read("docs/OPERATIONS.md")

    def resources(self, kind: str) -> dict[str, Any]:
        return {name: found for name, found in self.source["Resources"].items() if found["Type"] == kind}

    def row(self, beginning: str) -> str:
        """The rest of a row of a table in docs/OPERATIONS.md."""
        found = [line for line in self.operations.splitlines() if line.startswith(f"| {beginning} |")]
        self.assertEqual(len(found), 1, beginning)
        return found[0].removeprefix(f"| {beginning} |")

    def default(self, parameter: str) -> Any:
        return self.source["Parameters"][parameter]["Default"]

    def test_the_number_of_functions(self) -> None:
        # Not in README.md, whose transcript is of its time; nor the 1,000 of an account.
        texts = [text for name, text in documents().items() if name.startswith("docs/")]
        said = {int(number) for text in texts for number in re.findall(r"(?<![\d,])(\d+) functions\b", text)}
        self.assertLessEqual(said, {len(template.functions(self.source))})

    def test_the_number_and_price_of_alarms(self) -> None:
        number = len(self.resources("AWS::CloudWatch::Alarm"))
        self.assertIn(f"{number} × 0.10 | {number / 10:.2f} |", self.row("alarms"))

    def test_how_long_things_are_kept(self) -> None:
        rules = {
            rule["Id"]: rule
            for rule in self.source["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        }
        days = rules["uploads-that-are-in"]["ExpirationInDays"]
        self.assertEqual(self.row("uploaded objects that are in (tag `done`)").strip(" |"), f"{days} days")
        self.assertEqual(rules["uploads-that-failed"]["ExpirationInDays"], {"Ref": "FailedUploadRetentionDays"})
        parts = rules["parts-of-uploads-that-nobody-finished"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        self.assertEqual(self.row("parts of uploads that nobody finished").strip(" |"), f"{parts} day")
        for name, queue in self.resources("AWS::SQS::Queue").items():
            kept = queue["Properties"]["MessageRetentionPeriod"] // 86_400
            self.assertEqual(kept, 14 if "DeadLetters" in name else 4, name)
        self.assertTrue(self.row("messages; dead letters").startswith(" 4 days; 14 days"))

    def test_limits_have_the_defaults_of_the_parameters(self) -> None:
        mebibytes = self.default("MaxReportBytes") // 2**20
        for what in ("an uploaded report", "a report, unpacked"):
            self.assertIn(f"`MaxReportBytes`, {mebibytes} MiB", self.row(what))
        findings, most = self.default("MaxFindings"), self.source["Parameters"]["MaxFindings"]["MaxValue"]
        self.assertIn(f"`MaxFindings`, {findings:,} ({most:,} at most)", self.row("findings of a report"))
        self.assertIn(f"up to {mebibytes} MiB (`MaxReportBytes`)", read("README.md"))
        most_bytes = self.source["Parameters"]["MaxReportBytes"]["MaxValue"] // 2**20
        self.assertIn(f"`MaxReportBytes`, at most {most_bytes} MiB", self.operations)

    def test_each_scope_is_a_row_with_its_default(self) -> None:
        api = read("docs/API.md")
        scopes = [name for name in self.source["Parameters"] if name.endswith("Scope") and name != "FleetScope"]
        self.assertEqual(len(scopes), 4)
        for name in scopes:
            self.assertIn(f"| `{name}`, `{self.default(name)}` |", api)

    def test_samconfig_sets_parameters_that_there_are(self) -> None:
        overrides = re.findall(r'^\s+"(\w+)=', read("samconfig.toml"), re.MULTILINE)
        self.assertGreater(len(overrides), 2)
        for name in overrides:
            self.assertIn(name, self.source["Parameters"])

    def test_the_recipe_for_another_table_has_its_attributes_and_indexes(self) -> None:
        properties = self.source["Resources"]["Table"]["Properties"]
        recipes = read("README.md") + "".join(file.read_text() for file in (ROOT / "local").glob("*.sh"))
        for attribute in properties["AttributeDefinitions"]:
            said = f"AttributeName={attribute['AttributeName']},AttributeType={attribute['AttributeType']}"
            self.assertTrue(said in recipes or "create-table" not in recipes, said)
        for index in properties["GlobalSecondaryIndexes"]:
            self.assertTrue(f"IndexName={index['IndexName']}," in recipes or "create-table" not in recipes, index)


class Data(unittest.TestCase):
    """What stands in the code of the store."""

    def test_each_kind_of_partition_key_is_in_the_table_of_items(self) -> None:
        keys = read("lib/src/store/keys.rs").split("#[cfg(test)]")[0]
        items = read("docs/DATA.md").split("## Items")[1].split("\n## ")[0]
        kinds = set(re.findall(r'format!\("([A-Z]+)#', keys)) - {"FINDING", "TOTAL", "ASSET"}
        self.assertGreater(len(kinds), 8)
        for kind in kinds:
            self.assertIn(f"`{kind}#", items, f"{kind}# is not in docs/DATA.md")


    def test_each_call_of_s3_says_whose_bucket_it_must_be(self) -> None:
        objects = read("lib/src/objects.rs")
        calls = objects.count(".bucket(&self.bucket)")
        owned = len(re.findall(r"\.bucket\(&self\.bucket\)\s*\.set_expected_bucket_owner\(", objects))
        self.assertGreater(calls, 8)
        # But for the address that a redirect leads to, which cannot have a header.
        self.assertEqual(owned, calls - 1)


class Commands(unittest.TestCase):
    """What a reader copies."""

    def test_curl_shows_why_it_failed_and_fails(self) -> None:
        # A command: an option, a quoted or a plain address follows.
        command = re.compile(r'(?<![A-Za-z/-])curl (?=-[A-Za-z-]|"|http://|\$)(?!--fail-with-body -sS )')
        for name, text in documents().items():
            for number, line in enumerate(text.splitlines(), 1):
                self.assertIsNone(command.search(line), f"{name}:{number}: curl without --fail-with-body -sS")
                self.assertNotRegex(line, "--fail-with-body(?!.* curl ).*--fail-with-body", f"{name}:{number}: twice")

    def test_each_target_of_make_that_is_named_is_there(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
        for name, text in documents().items():
            for target in re.findall(r"`make ([a-z][a-z-]+)", text):
                self.assertIn(target, targets, name)

    def test_each_decision_has_a_status(self) -> None:
        for name, text in documents().items():
            if name.startswith("docs/decisions/0"):
                self.assertRegex(text, r"(?m)^Status: (accepted|replaced|superseded)", name)


if __name__ == "__main__":
    unittest.main()
