"""Tests that the check of template.yaml finds faults."""

import json
import re
import tempfile
import unittest
from pathlib import Path

from sirius_local import check_template, install, template


class Faults(unittest.TestCase):
    """A template with one fault in each of several resources."""

    found: set[str]

    @classmethod
    def setUpClass(cls) -> None:
        install.install("lint")
        wrong = template.read()
        resources = wrong["Resources"]
        resources["IngestUpload"]["Properties"]["Events"]["Uploaded"]["Properties"]["BatchSize"] = 20_000
        resources["GetScan"]["Properties"]["Architectures"] = ["arm65"]
        policy = resources["DeleteScanRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        policy["Statement"][0]["Effect"] = "Alow"
        for queue, function in (("AnalysisQueue", "RunAnalysis"), ("EnrichmentQueue", "EnrichCves")):
            timeout = resources[function]["Properties"]["Timeout"]
            resources[queue]["Properties"]["VisibilityTimeout"] = timeout - 1
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "wrong.json"
            file.write_text(json.dumps(check_template.translated(wrong)))
            cls.found = {f"{fault.rule} {fault.path}" for fault in check_template.faults(file)}

    def assert_found(self, where: str) -> None:
        self.assertTrue(any(where in fault for fault in self.found), f"{where} is not among {sorted(self.found)}")

    def test_a_batch_that_is_too_large(self) -> None:
        self.assert_found("IngestUploadUploaded/Properties/BatchSize")

    def test_an_architecture_that_lambda_does_not_have(self) -> None:
        self.assert_found("GetScan/Properties/Architectures/0")

    def test_an_effect_that_is_none(self) -> None:
        self.assert_found("DeleteScanRole/Properties/Policies/0/PolicyDocument/Statement/0/Effect")

    def test_a_message_that_is_visible_before_its_function_has_ended(self) -> None:
        for queue in ("AnalysisQueue", "EnrichmentQueue"):
            self.assert_found(f"E3505 Resources/{queue}/Properties/VisibilityTimeout")


class Parameters(unittest.TestCase):
    """What parameters take and what they refuse. CloudFormation compares each entry of a list with the whole pattern."""

    parameters = template.read()["Parameters"]

    def assert_takes(self, name: str, *, taken: list[str], refused: list[str]) -> None:
        pattern = re.compile(self.parameters[name]["AllowedPattern"])
        for value in taken:
            self.assertIsNotNone(pattern.fullmatch(value), f"{name} refuses {value!r}")
        for value in refused:
            self.assertIsNone(pattern.fullmatch(value), f"{name} takes {value!r}")

    def test_an_origin_is_https_or_of_this_machine_and_has_no_path(self) -> None:
        taken = ["", "https://ui.example.com", "https://ui.example.com:8443", "http://localhost:5173", "http://127.0.0.1:80"]
        refused = ["*", "null", "https://*", "https://a.example/", "https://a.example/x", "http://ui.example.com"]
        refused += ["https://me@a.example", "http://localhost.evil.example", "ui.example.com", "https://a.example\n"]
        self.assert_takes("CorsAllowedOrigins", taken=taken, refused=refused)

    def test_an_arn_is_whole_and_of_its_service(self) -> None:
        account = "eu-central-1:123456789012"
        for name, service, resource in [
            ("OllamaTokenSecretArn", "secretsmanager", "secret:ollama/token-AbCdEf"),
            ("NvdApiKeySecretArn", "secretsmanager", "secret:nvd-AbCdEf"),
            ("KmsKeyArn", "kms", "key/0a1b2c3d-0000-0000-0000-000000000000"),
            ("AlarmTopicArn", "sns", "alarms"),
        ]:
            arn = f"arn:aws:{service}:{account}:{resource}"
            taken = ["", arn, arn.replace("arn:aws:", "arn:aws-us-gov:")]
            refused = ["*", f"arn:aws:{service}:*:*:*", f"{arn}*", f"{arn} ", arn.replace(service, "iam"), "a-name"]
            self.assert_takes(name, taken=taken, refused=refused)


class Api(unittest.TestCase):
    """What the API is deployed with."""

    api = template.read()["Resources"]["Api"]["Properties"]

    def test_a_document_that_is_taken_with_a_warning_fails_the_deployment(self) -> None:
        self.assertIs(self.api["FailOnWarnings"], True)

    def test_limits_of_routes_are_of_routes_that_there_are(self) -> None:
        paths = self.api["DefinitionBody"]["paths"]
        for route in self.api["RouteSettings"]:
            method, path = route.split(" ")
            self.assertIn(method.lower(), paths[path], route)


if __name__ == "__main__":
    unittest.main()
