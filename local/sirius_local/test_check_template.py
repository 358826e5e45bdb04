"""That the check of template.yaml looks: what is wrong is found."""

import json
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


if __name__ == "__main__":
    unittest.main()
