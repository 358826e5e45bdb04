//! The public sources of vulnerabilities.

use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::{Environment, Error, Setting, queues};

const MODE: &str = "ENRICHMENT_SOURCES";

/// Names the kind of `ENRICHMENT_SOURCES`, for functions that do not ask the sources.
pub(crate) fn mode_name(environment: &Environment) -> &'static str {
    match environment.text(MODE) {
        None | Some("live") => "live",
        Some("mirror") => "mirror",
        Some(mode) if mode.starts_with("dir:") => "dir",
        Some(_) => "unknown",
    }
}

/// `ENRICHMENT_SOURCES`: the place from which the sources are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sources {
    /// `live` (default): their own servers.
    Live(Box<Live>),
    /// `mirror`: objects under `mirror/v1/` in the bucket.
    Mirror,
    /// `dir:/path`: a folder, for development and tests; only where AWS is an emulator on this machine.
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
        // The disk of a Lambda function has no such folder: each vulnerability would count as unknown to all sources.
        if !aws_is_on_this_machine(environment) {
            let reason = "dir:, which is for a developer's machine: AWS_ENDPOINT_URL is not a loopback address";
            return Err(Error::invalid(MODE, reason));
        }
        Ok(Self::Folder(path))
    }
}

/// Returns whether `AWS_ENDPOINT_URL` is a loopback address.
fn aws_is_on_this_machine(environment: &Environment) -> bool {
    let url = environment.text("AWS_ENDPOINT_URL").and_then(|text| Url::parse(text).ok());
    match url.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The addresses of the live sources, and what Sirius sends to them about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) nvd: Setting,
    pub(crate) osv: Setting,
    pub(crate) cve_services: Setting,
    pub(crate) kev: Setting,
    pub(crate) kev_mirror: Setting,
    pub(crate) epss: Setting,
    /// `SOURCES_CONTACT`: an address that is sent to the sources with each request (default none).
    pub(crate) contact: Option<String>,
    /// `NVD_API_KEY_SECRET`: the secret with NVD's API key (default none: ten times slower).
    pub(crate) nvd_key_secret: Option<String>,
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

/// The settings of enrichment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrichment {
    pub(crate) sources: Sources,
    pub(crate) queue_url: String,
    /// `LEASE_SECONDS` (default 330): must be more than the function's timeout.
    pub(crate) lease: Duration,
}

impl Enrichment {
    pub(crate) fn read(environment: &Environment) -> Result<Self, Error> {
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
