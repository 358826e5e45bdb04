"""Names the paths of the project and of a stack's state."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
SAMPLE_REPORT = ROOT / "local" / "sample" / "checkout-api.json"
REQUIREMENTS = ROOT / "local" / "requirements"
TOOLS = ROOT / ".tools"
BRIDGE = ROOT / "local" / "ollama_bridge"


@dataclass(frozen=True)
class StateDirectory:
    """What one running stack leaves on disk: `.local/`, or a directory of its own for each `run`."""

    path: Path

    @property
    def server(self) -> Path:
        """The server's process id and port."""
        return self.path / "server.json"

    @property
    def access_key(self) -> Path:
        """The id of the root's access key, new for each server."""
        return self.path / "access-key"

    @property
    def secret_key(self) -> Path:
        """The secret of that key."""
        return self.path / "secret-key"

    @property
    def origins(self) -> Path:
        """A JSON list of the origins whose pages may call the API."""
        return self.path / "origins.json"

    @property
    def alive(self) -> Path:
        """A file the server keeps locked while it lives."""
        return self.path / "alive.lock"

    @property
    def bridge(self) -> Path:
        """The model bridge's process id."""
        return self.path / "bridge.json"

    @property
    def bridge_alive(self) -> Path:
        """A file the model bridge keeps locked while it lives."""
        return self.path / "bridge.lock"

    @property
    def bridge_log(self) -> Path:
        """What the model bridge prints."""
        return self.path / "bridge.log"

    @property
    def bridge_url(self) -> Path:
        """The model bridge's URL, alone on one line, once it serves."""
        return self.path / "bridge-url"

    @property
    def changing(self) -> Path:
        """A file that `up` and `down` keep locked while they work."""
        return self.path / "changing.lock"

    @property
    def owner(self) -> Path:
        """A file that a `run` keeps locked, so that its stack is not removed."""
        return self.path / "owner.lock"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.path / "ministack.log"

    @property
    def temporary(self) -> Path:
        """The server's own TMPDIR, where it unpacks the functions."""
        return self.path / "tmp"

    @property
    def deployed(self) -> Path:
        """What is deployed at present."""
        return self.path / "deployed.json"

    @property
    def api_url(self) -> Path:
        """The base URL of the API, alone on one line, for people and scripts."""
        return self.path / "api-url"

    @property
    def curl(self) -> Path:
        """A configuration with which curl signs what it sends to the API: curl --config .local/curl …"""
        return self.path / "curl"

    @property
    def env(self) -> Path:
        """Shell `export` lines that point an AWS client at the stack."""
        return self.path / "env"

    @property
    def functions_env(self) -> Path:
        """Shell `export` lines of what template.yaml sets for the functions, for `make watch`."""
        return self.path / "functions.env"


DEVELOPER_STATE = StateDirectory(ROOT / ".local")
RUNS = ROOT / ".local" / "runs"
LOGS_OF_LAST_FAILED_RUN = ROOT / ".local" / "last-failed-run.log"
