//! The public sources of vulnerabilities.

use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::{Environment, Error, Setting, queues};

const MODE: &str = "ENRICHMENT_SOURCES";

/// Names the kind of `ENRICHMENT_SOURCES` for functions that do not ask the sources: `live`, `mirror`, `dir`, or
/// `unknown`.
#[must_use]
pub fn mode_name(environment: &Environment) -> &'static str {
    match environment.text(MODE) {
        None | Some("live") => "live",
        Some("mirror") => "mirror",
        Some(mode) if mode.starts_with("dir:") => "dir",
        Some(_) => "unknown",
    }
}

/// Which sources are asked about vulnerabilities: `ENRICHMENT_SOURCES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// `live` (default): the sources themselves.
    Live(Box<Live>),
    /// `mirror`: below `mirror/v1/` in the bucket.
    Mirror,
    /// `dir:/path`: in a folder, for development and tests; only where AWS is an emulator on this machine.
    Folder(PathBuf),
}

impl Sources {
    fn read(environment: &Environment) -> Result<Self, Error> {
        let mode = match environment.text(MODE) {
            None | Some("live") => return Ok(Self::Live(Box::new(Live::read(environment)))),
            Some("mirror") => return Ok(Self::Mirror),
            Some(mode) => mode,
        };
        let Some(path) = mode.strip_prefix("dir:").map(PathBuf::from).filter(|path| path.is_absolute()) else {
            return Err(Error::invalid(MODE, "none of live, mirror and dir:/absolute/path"));
        };
        // A deployment that reads its function's own disk would conclude that no source knows any vulnerability.
        if !aws_is_on_this_machine(environment) {
            let reason = "dir:, which only a developer's machine takes: AWS_ENDPOINT_URL is no loopback address";
            return Err(Error::invalid(MODE, reason));
        }
        Ok(Self::Folder(path))
    }
}

/// Whether `AWS_ENDPOINT_URL` names a loopback address for all of AWS.
fn aws_is_on_this_machine(environment: &Environment) -> bool {
    let url = environment.text("AWS_ENDPOINT_URL").and_then(|text| Url::parse(text).ok());
    match url.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Where the live sources are, and how Sirius introduces itself to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// `NVD_URL`.
    pub nvd: Setting,
    /// `OSV_URL`.
    pub osv: Setting,
    /// `CVE_SERVICES_URL`.
    pub cve_services: Setting,
    /// `KEV_URL`.
    pub kev: Setting,
    /// `KEV_MIRROR_URL`.
    pub kev_mirror: Setting,
    /// `EPSS_URL`.
    pub epss: Setting,
    /// `SOURCES_CONTACT`: an address that is sent to the sources with each request (default none).
    pub contact: Option<String>,
    /// `NVD_API_KEY_SECRET`: the secret with NVD's API key (default none: ten times slower).
    pub nvd_key_secret: Option<String>,
}

impl Live {
    fn read(environment: &Environment) -> Self {
        Self {
            nvd: environment.setting("NVD_URL", "https://services.nvd.nist.gov/rest/json/cves/2.0"),
            osv: environment.setting("OSV_URL", "https://api.osv.dev"),
            cve_services: environment.setting("CVE_SERVICES_URL", "https://cveawg.mitre.org"),
            kev: environment.setting(
                "KEV_URL",
                "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
            ),
            kev_mirror: environment.setting(
                "KEV_MIRROR_URL",
                "https://raw.githubusercontent.com/cisagov/kev-data/main/known_exploited_vulnerabilities.json",
            ),
            epss: environment.setting("EPSS_URL", "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"),
            contact: environment.owned("SOURCES_CONTACT"),
            nvd_key_secret: environment.owned("NVD_API_KEY_SECRET"),
        }
    }
}

/// How vulnerabilities are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrichment {
    /// The sources.
    pub sources: Sources,
    /// `ENRICHMENT_QUEUE_URL`.
    pub queue_url: String,
    /// `LEASE_SECONDS` (default 330): must be more than the function's timeout.
    pub lease: Duration,
}

impl Enrichment {
    /// Reads the variables.
    ///
    /// # Errors
    /// If the queue is missing, the mode is none of the three, or `dir:` is set where AWS is not on this machine.
    pub fn read(environment: &Environment) -> Result<Self, Error> {
        Ok(Self {
            sources: Sources::read(environment)?,
            queue_url: queues::required_enrichment_url(environment)?,
            lease: Duration::from_secs(environment.number("LEASE_SECONDS", 330, 1, 3600)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mode: &str, aws: &str) -> Result<Sources, Error> {
        let variables = [("AWS_ENDPOINT_URL", aws), ("ENRICHMENT_QUEUE_URL", "u"), (MODE, mode)];
        Enrichment::read(&Environment::from_iter(variables)).map(|enrichment| enrichment.sources)
    }

    #[test]
    fn sources_are_live_a_mirror_or_a_folder() {
        let here = "http://127.0.0.1:4566";
        assert!(matches!(read("", here).unwrap(), Sources::Live(_)));
        assert_eq!(read("mirror", here).unwrap(), Sources::Mirror);
        assert_eq!(read("dir:/tmp/x", here).unwrap(), Sources::Folder("/tmp/x".into()));
        assert!(read("dir:relative", here).is_err() && read("offline", here).is_err());
    }

    #[test]
    fn vulnerabilities_are_not_looked_up_without_a_queue() {
        let message = Enrichment::read(&Environment::from_iter([(MODE, "live")])).unwrap_err().to_string();
        assert_eq!(message, "the environment variable ENRICHMENT_QUEUE_URL is not set");
    }

    #[test]
    fn a_folder_of_sources_is_refused_where_aws_is_not_on_this_machine() {
        for endpoint in ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:1/"] {
            assert_eq!(read("dir:/tmp/x", endpoint).unwrap(), Sources::Folder("/tmp/x".into()), "{endpoint}");
        }
        for endpoint in
            ["", "x", "https://dynamodb.eu-west-1.amazonaws.com", "http://127.0.0.1.example", "http://10.0.0.1"]
        {
            let message = read("dir:/tmp/x", endpoint).unwrap_err().to_string();
            assert!(
                message.starts_with("the environment variable ENRICHMENT_SOURCES is dir:"),
                "{endpoint:?}: {message}"
            );
        }
    }
}
