"""Tests which answers of a source local/mirror accepts."""

import json
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

from sirius_local.paths import ROOT


def load_mirror() -> ModuleType:
    """Returns the program, whose name has no ending, as a module."""
    loader = SourceFileLoader("mirror", str(ROOT / "local" / "mirror"))
    module = module_from_spec(spec_from_loader("mirror", loader))
    loader.exec_module(module)
    return module


class Records(unittest.TestCase):
    """NVD's answers."""

    mirror = load_mirror()

    def answer(self, *ids: object) -> bytes:
        return json.dumps({"vulnerabilities": [{"cve": {"id": id}} for id in ids]}).encode()

    def test_what_was_asked_for_is_kept_under_its_id(self) -> None:
        found = self.mirror.records(self.answer("CVE-2024-0001"), ["CVE-2024-0001", "CVE-2024-0002"])
        self.assertEqual(list(found), ["CVE-2024-0001"])

    def test_an_id_that_is_no_file_name_or_was_not_asked_for_ends_the_program(self) -> None:
        for id in ["../../../etc/cron.d/x", "CVE-2024-0002", "CVE-2024-0001/../x", "CVE-2024-\u0661\u0661\u0661\u0661", 7, None]:
            with self.subTest(id=id), self.assertRaises(SystemExit):
                self.mirror.records(self.answer(id), ["CVE-2024-0001", "CVE-2024-0001/../x"])


if __name__ == "__main__":
    unittest.main()
