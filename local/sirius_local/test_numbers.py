"""Tests that numbers and names in the documents are those of template.yaml and of the code."""

import math
import re
import unittest
from typing import Any

from sirius_local import parameters, template
from sirius_local.markdown import documents
from sirius_local.paths import ROOT

#: A constant of the library (file, name), the document that tells it, and the words around it.
CONSTANTS = [
    ("create_upload.rs", "UPLOAD_RETENTION", "docs/API.md", "forgotten {days} days after it was opened"),
    ("create_upload.rs", "UPLOAD_RETENTION", "docs/OPERATIONS.md", "{days} days if nothing came"),
    ("create_upload.rs", "PRESIGNED_URL_TTL", "docs/API.md", "begin within {minutes} minutes"),
    ("create_upload.rs", "PRESIGNED_URL_TTL", "SECURITY.md", "{minutes} minutes to PUT"),
    ("ingest_upload.rs", "UPLOAD_RETENTION", "docs/API.md", "is remembered for {days} days"),
    ("ingest_upload.rs", "UPLOAD_RETENTION", "docs/OPERATIONS.md", "| how an upload went | {days} days;"),
    ("attachment.rs", "PRESIGNED_URL_TTL", "docs/API.md", "valid for {minutes} minutes"),
    ("attachment.rs", "PRESIGNED_URL_TTL", "SECURITY.md", "and {minutes} to GET"),
    ("parameter.rs", "LIMIT", "docs/API.md", "at most so many items, 1 to {number}"),
    ("parameter.rs", "LIMIT_OF_PRIORITIES", "docs/API.md", "1 to {number}, default 20"),
    ("list_priorities.rs", "READ_BUDGET", "docs/API.md", "was not read within {seconds} seconds"),
    ("parameter.rs", "LIMIT_OF_IMAGES", "docs/API.md", "1 to {number}, default 100"),
    ("parameter.rs", "WAIT", "docs/API.md", "0 to {number}, default 20"),
    ("analyze_scan.rs", "DEFAULT_LIMIT", "docs/API.md", "1 to 10,000, default {number}"),
    ("canonical.rs", "MAX_SORTED_ELEMENTS", "docs/API.md", "; {number}; 16,384 bytes"),
    ("canonical.rs", "MAX_OPEN_MEMBERS", "docs/API.md", "127; {number}; 200,000"),
    ("body.rs", "MAX_PARTS", "docs/API.md", "16,384 bytes; {number} |"),
    ("reply.rs", "MAX_BODY_BYTES", "docs/API.md", "{number} bytes as Lambda counts them"),
    ("finding.rs", "MAX_FINDING_BYTES", "docs/API.md", "| {number}; 2,048; 8,192 bytes"),
    ("admit.rs", "PER_SCAN", "docs/ENRICHMENT.md", "asked about {number} vulnerabilities"),
    ("admit.rs", "PER_DAY", "docs/ENRICHMENT.md", "about {number} new ones"),
    ("analyze.rs", "FINAL_FAILURE_WAIT", "docs/MODELS.md", "on request after {minutes} minutes"),
    ("delete_scan.rs", "LEASE", "docs/DATA.md", "a lease of {seconds} s"),
    ("recover.rs", "SENDER_GRACE", "docs/DATA.md", "the archive {minutes} minutes after the lease"),
    ("recover.rs", "ABANDON_AFTER", "docs/DATA.md", "removed {minutes} minutes after it"),
    ("keys.rs", "FINDINGS_PER_BLOCK", "docs/DATA.md", "A block has {number}\n"),
    ("asset_writes.rs", "MOST_FLAGGED", "docs/DATA.md", "(at most {number})"),
]


def read(name: str) -> str:
    """Reads a file of the project."""
    return (ROOT / name).read_text()


def constant(file: str, name: str) -> int:
    """Computes a constant of the library: a number, the seconds of a duration, or the bound of a query parameter."""
    values = set()
    for path in (ROOT / "lib/src").rglob(file):
        values |= set(re.findall(rf"const {name}: \w+ = ([^;]+);", path.read_text()))
    if len(values) != 1:
        raise AssertionError(f"{file} has {len(values)} values of {name}")
    value = values.pop()
    if value.startswith("number("):
        return int(value.rstrip(")").split(",")[-1])
    unit = {"hours": 3600, "mins": 60}.get("".join(re.findall(r"from_(hours|mins)", value)), 1)
    expression = re.sub(r"^\w+::from_\w+\((.*)\)$", r"\1", value)
    if "<<" in expression:
        left, shift = expression.split("<<")
        return int(left) << int(shift)
    return unit * math.prod(int(factor) for factor in expression.split("*"))


def words(text: str) -> str:
    """Joins the lines of a text."""
    return " ".join(text.split())


class Code(unittest.TestCase):
    def test_each_constant_is_told_as_it_is(self) -> None:
        for file, name, document, around in CONSTANTS:
            value = constant(file, name)
            told = around.format(number=f"{value:,}", days=value // 86_400, minutes=value // 60, seconds=value)
            self.assertIn(words(told), words(read(document)), f"{name} of {file}, in {document}")

    def test_each_kind_of_partition_key_is_in_the_table_of_items(self) -> None:
        keys = read("lib/src/store/keys.rs").split("#[cfg(test)]")[0]
        items = read("docs/DATA.md").split("## Items")[1].split("\n## ")[0]
        kinds = set(re.findall(r'format!\("([A-Z]+)#', keys)) - {"FINDING", "TOTAL", "ASSET"}
        self.assertGreater(len(kinds), 8)
        for kind in kinds:
            self.assertIn(f"`{kind}#", items, f"{kind}# is not in docs/DATA.md")

    def test_each_code_of_an_error_is_in_the_api_document(self) -> None:
        codes = set(re.findall(r'=> \("([a-z_]+)"', read("lib/src/http/error.rs").split("#[cfg(test)]")[0]))
        self.assertGreater(len(codes), 10)
        api = read("docs/API.md")
        for code in codes:
            self.assertIn(f"`{code}`", api)

    def test_each_call_of_s3_says_whose_bucket_it_must_be(self) -> None:
        objects = read("lib/src/objects.rs")
        self.assertIn(".bucket(&$objects.bucket).set_expected_bucket_owner($objects.owner.clone())", objects)
        self.assertGreater(objects.count("request!(self, "), 8)
        # The address that a redirect leads to cannot have a header.
        self.assertEqual(objects.count(".bucket(&self.bucket)"), 1)


class Template(unittest.TestCase):
    source = template.read()
    operations = read("docs/OPERATIONS.md")

    def resources(self, kind: str) -> dict[str, Any]:
        return {name: found for name, found in self.source["Resources"].items() if found["Type"] == kind}

    def row(self, beginning: str) -> str:
        """Finds the rest of a row of a table in docs/OPERATIONS.md."""
        found = [line for line in self.operations.splitlines() if line.startswith(f"| {beginning} |")]
        self.assertEqual(len(found), 1, beginning)
        return found[0].removeprefix(f"| {beginning} |")

    def default(self, parameter: str) -> Any:
        return self.source["Parameters"][parameter]["Default"]

    def function(self, binary: str) -> dict[str, Any]:
        for found in self.resources("AWS::Serverless::Function").values():
            if found["Metadata"]["BuildProperties"]["Binary"] == binary:
                return {**self.source["Globals"]["Function"], **found["Properties"]}
        raise AssertionError(binary)

    def test_the_generated_document_is_that_of_the_template(self) -> None:
        told = parameters.DOCUMENT.read_text()
        self.assertEqual(told, parameters.document(self.source), "run `make docs`")

    def test_each_alarm_has_a_row_that_says_what_to_do_and_no_other_has(self) -> None:
        section = self.operations.split("\n## Alarms\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
        told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        self.assertEqual(sorted(told), sorted(self.resources("AWS::CloudWatch::Alarm")))

    def test_each_parameter_and_output_that_is_named_is_there(self) -> None:
        known = {*self.source["Parameters"], *self.source["Outputs"], *self.source["Resources"]}
        for name, text in documents().items():
            for named in re.findall(r"--parameter-overrides ([^`\n]*)|--parameter (\w+=)", text):
                for parameter in re.findall(r"(\w+)=", "".join(named)):
                    self.assertIn(parameter, known, name)

    def test_the_number_of_functions(self) -> None:
        texts = [text for name, text in documents().items() if name.startswith("docs/")]
        said = {int(number) for text in texts for number in re.findall(r"(?<![\d,])(\d+) functions\b", text)}
        self.assertLessEqual(said, {len(template.functions(self.source))})

    def test_the_number_and_price_of_alarms(self) -> None:
        number = len(self.resources("AWS::CloudWatch::Alarm"))
        self.assertIn(f"{number} × 0.10 | {number / 10:.2f} |", self.row("alarms"))

    def test_leases_and_timeouts(self) -> None:
        def both(binary: str) -> tuple[str, str]:
            function = self.function(binary)
            return function["Environment"]["Variables"]["LEASE_SECONDS"], str(function["Timeout"])

        told = "{} s and {} s for `ingest-scan`, {} s and {} s for `ingest-upload` and `reingest`, {} s and {} s for `recover`"
        self.assertEqual(both("ingest-upload"), both("reingest"))
        told = told.format(*both("ingest-scan"), *both("ingest-upload"), *both("recover"))
        data = words(read("docs/DATA.md"))
        self.assertIn(told, data)
        lease, timeout = both("run-analysis")
        self.assertIn(f"leased for {lease} s", data)
        self.assertIn(f"`run-analysis` lives {timeout} s", data)
        until = f"up to {int(both('ingest-scan')[0]) + 1} for a POST, {int(both('recover')[0]) + 1} for an upload or recovery"
        self.assertIn(until, words(read("docs/API.md")))

    def test_how_long_things_are_kept(self) -> None:
        rules = {
            rule["Id"]: rule
            for rule in self.source["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        }
        days = rules["uploads-that-are-in"]["ExpirationInDays"]
        self.assertEqual(self.row("uploaded objects that are in (tag `done`)").strip(" |"), f"{days} days")
        self.assertEqual(rules["uploads-that-failed"]["ExpirationInDays"], {"Ref": "FailedUploadRetentionDays"})
        parts = rules["parts-of-uploads-that-nobody-finished"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        self.assertEqual(self.row("unfinished parts of uploads").strip(" |"), f"{parts} day")
        self.assertEqual(self.row("exports in the bucket").strip(" |"), f"{rules['exports']['ExpirationInDays']} day")
        for name, queue in self.resources("AWS::SQS::Queue").items():
            kept = queue["Properties"]["MessageRetentionPeriod"] // 86_400
            self.assertEqual(kept, 14 if "DeadLetters" in name else 4, name)
        self.assertTrue(self.row("messages; dead letters").startswith(" 4 days; 14 days"))

    def test_limits_have_the_defaults_of_the_parameters(self) -> None:
        api = read("docs/API.md")
        mebibytes = self.default("MaxReportBytes") // 2**20
        self.assertIn(f"(`MaxReportBytes`), {mebibytes} MiB by default", api)
        findings, most = self.default("MaxFindings"), self.source["Parameters"]["MaxFindings"]["MaxValue"]
        self.assertIn(f"(`MaxFindings`), {findings:,} by default, {most:,} at most", api)
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
        recipe = read("local/dynamodb-local.sh")
        for attribute in properties["AttributeDefinitions"]:
            self.assertIn(f"AttributeName={attribute['AttributeName']},AttributeType={attribute['AttributeType']}", recipe)
        for index in properties["GlobalSecondaryIndexes"]:
            self.assertIn(f"IndexName={index['IndexName']},", recipe)


if __name__ == "__main__":
    unittest.main()
