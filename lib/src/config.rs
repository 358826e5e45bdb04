//! Settings from the environment: one struct per concern, read once, typed.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use aws_credential_types::Credentials;
use url::Url;

use crate::domain::fleet::{Fleet, ParseScopeError, Scope};
use crate::domain::priority::Thresholds;
use crate::domain::priority::exposure::Exposures;
use crate::domain::severity::ParseSeverityError;
use crate::llm::ollama::{Bearer, InvalidUrl};
use crate::llm::{OllamaConfig, OllamaUrl, Options, Questions};
use crate::pipeline::ingest::AutoAnalyze;
use crate::queries::priority_config::PriorityConfig;
use crate::report::Limits;
use crate::sources::{Addresses, BaseUrl};

/// Looks a variable up; `|name| std::env::var(name).ok()` outside tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable that is missing or wrong. The message names it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not set, and there is no default.
    #[error("the environment variable {name} is not set")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// Set to something else than it should be.
    #[error("the environment variable {name} is {reason}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What is wrong; never the value itself.
        reason: String,
    },
}

/// Reads the process's own environment.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How AWS is reached, in the SDK's standard variables. Lambda sets the credentials and the region. Files of
/// profiles are not read, and nobody is asked for credentials.
#[derive(Debug)]
pub struct Aws {
    /// `AWS_REGION` (default `us-east-1`: only a developer's machine has none).
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`. They outlive the process.
    pub credentials: Credentials,
    /// `AWS_USE_FIPS_ENDPOINT` (default `false`).
    pub use_fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT` (default `false`).
    pub use_dual_stack: bool,
}

impl Aws {
    /// Reads the variables.
    ///
    /// # Errors
    /// If there are no credentials, or one of the flags is neither `true` nor `false`.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        let set = |name| lookup(name).filter(|value| !value.is_empty());
        Ok(Self {
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned()),
            credentials: Credentials::new(
                required(lookup, "AWS_ACCESS_KEY_ID")?,
                required(lookup, "AWS_SECRET_ACCESS_KEY")?,
                set("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            use_fips: flag(lookup, "AWS_USE_FIPS_ENDPOINT", false)?,
            use_dual_stack: flag(lookup, "AWS_USE_DUALSTACK_ENDPOINT", false)?,
        })
    }
}

/// `TABLE_NAME`: the table.
///
/// # Errors
/// If it is not set.
pub fn table_name(lookup: Lookup<'_>) -> Result<String, Error> {
    required(lookup, "TABLE_NAME")
}

/// The bucket of uploads and archived reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `BUCKET_NAME`.
    pub name: String,
    /// `BUCKET_OWNER`: the id of the account that it must belong to (default none: it may be anybody's).
    pub owner: Option<String>,
}

/// Which bucket it is: `BUCKET_NAME` and `BUCKET_OWNER`.
///
/// # Errors
/// If there is no name, or the owner is no id of an account: 12 digits.
pub fn bucket(lookup: Lookup<'_>) -> Result<Bucket, Error> {
    bucket_if_any(lookup)?.ok_or(Error::Missing { name: "BUCKET_NAME" })
}

/// The same where there may be none: without a name, or with the word `none`, which is nothing to ask AWS for.
///
/// # Errors
/// If the owner is no id of an account: 12 digits.
pub fn bucket_if_any(lookup: Lookup<'_>) -> Result<Option<Bucket>, Error> {
    const OWNER: &str = "BUCKET_OWNER";
    let name = lookup("BUCKET_NAME").filter(|name| !name.is_empty() && name != "none");
    let owner = lookup(OWNER).filter(|owner| !owner.is_empty());
    let is_account = |owner: &String| owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit());
    if owner.as_ref().is_some_and(|owner| !is_account(owner)) {
        return Err(Error::Invalid { name: OWNER, reason: "not the id of an account: 12 digits".to_owned() });
    }
    Ok(name.map(|name| Bucket { name, owner }))
}

/// `RETENTION_DAYS`: how old a scan may get before it is deleted; 0 (the default) for as old as it likes.
///
/// # Errors
/// If it is not a number from 0 to 36,500.
pub fn retention(lookup: Lookup<'_>) -> Result<Option<Duration>, Error> {
    let days: u64 = number(lookup, "RETENTION_DAYS", 0, 0, 36_500)?;
    Ok((days > 0).then(|| Duration::from_secs(days * 24 * 3600)))
}

/// What a function of 1,024 MB can take in: the bound of `MaxReportBytes` in template.yaml.
pub const MOST_REPORT_BYTES: usize = 200 << 20;

/// `MAX_REPORT_BYTES` (default 64 MiB, at most [`MOST_REPORT_BYTES`]): what a report may have once it is unpacked, and an upload as it is.
///
/// # Errors
/// If it is not a number in its range.
pub fn max_report_bytes(lookup: Lookup<'_>) -> Result<usize, Error> {
    number(lookup, "MAX_REPORT_BYTES", Limits::default().max_bytes, 1, MOST_REPORT_BYTES)
}

/// How reports are taken in.
#[derive(Debug, Clone, Copy)]
pub struct Ingestion {
    /// `MAX_REPORT_BYTES` (default 64 MiB) and `MAX_FINDINGS` (default 50,000, at most 100,000).
    pub limits: Limits,
    /// `LEASE_SECONDS` (default 60): must be more than the function's timeout.
    pub lease: Duration,
    /// `ARCHIVE_REPORTS` (default `true`): whether reports are kept as they came.
    pub archive: bool,
    /// `REQUIRE_IMAGE_NAME` (default `false`): whether reports are refused that name nothing.
    pub require_image_name: bool,
}

impl Ingestion {
    /// Reads the variables.
    ///
    /// # Errors
    /// If one is not a number in its range.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        let default = Limits::default();
        Ok(Self {
            limits: Limits {
                max_bytes: max_report_bytes(lookup)?,
                max_findings: number(lookup, "MAX_FINDINGS", default.max_findings, 1, 100_000)?,
            },
            lease: Duration::from_secs(number(lookup, "LEASE_SECONDS", 60, 1, 3600)?),
            archive: flag(lookup, "ARCHIVE_REPORTS", true)?,
            require_image_name: flag(lookup, "REQUIRE_IMAGE_NAME", false)?,
        })
    }
}

/// How findings are asked about, if they are: `OLLAMA_MODEL` (none: no analyses here),
/// `OLLAMA_NUM_CTX` (default 4096), `OLLAMA_NUM_PREDICT` (default 700).
///
/// All functions must have the same values: they are part of the hash under which an analysis is found.
///
/// # Errors
/// If one is not a number in its range.
pub fn questions(lookup: Lookup<'_>) -> Result<Option<Questions>, Error> {
    let Some(model) = lookup("OLLAMA_MODEL").filter(|model| !model.is_empty()) else { return Ok(None) };
    let default = Options::default();
    let options = Options {
        num_ctx: number(lookup, "OLLAMA_NUM_CTX", default.num_ctx, 2048, 131_072)?,
        num_predict: number(lookup, "OLLAMA_NUM_PREDICT", default.num_predict, 256, 16_384)?,
        ..default
    };
    if options.num_predict > options.num_ctx / 2 {
        let reason = "more than half of OLLAMA_NUM_CTX: no room for a question".to_owned();
        return Err(Error::Invalid { name: "OLLAMA_NUM_PREDICT", reason });
    }
    Ok(Some(Questions { model, options }))
}

/// Reads the settings of the priority rule: `EXPOSURE` says which images untrusted people reach
/// ([`crate::domain::priority::exposure`]); empty or unset: every image is assumed to be public.
///
/// All functions must have the same value: it is part of what is asked of the model.
///
/// # Errors
/// If it is not exactly in its syntax. A typing error must not make an image internal.
pub fn priorities(lookup: Lookup<'_>) -> Result<PriorityConfig, Error> {
    const NAME: &str = "EXPOSURE";
    let exposures = Exposures::parse(&lookup(NAME).unwrap_or_default())
        .map_err(|error| Error::Invalid { name: NAME, reason: format!("refused: it {error}") })?;
    Ok(PriorityConfig { exposures, thresholds: Thresholds::default() })
}

/// Which images count: `FLEET_SCOPE` (`tags`, the default, or `newest-per-repository`) and `FLEET_MAX_AGE_DAYS`
/// (default 0: however long ago they were seen).
///
/// # Errors
/// If one is neither, or not a number from 0 to 36,500.
pub fn fleet(lookup: Lookup<'_>) -> Result<Fleet, Error> {
    const SCOPE: &str = "FLEET_SCOPE";
    let scope = match lookup(SCOPE).filter(|scope| !scope.is_empty()) {
        Some(scope) => {
            scope.parse().map_err(|error: ParseScopeError| Error::Invalid { name: SCOPE, reason: error.to_string() })?
        }
        None => Scope::default(),
    };
    let days: u64 = number(lookup, "FLEET_MAX_AGE_DAYS", 0, 0, 36_500)?;
    Ok(Fleet { scope, max_age: (days > 0).then(|| Duration::from_secs(days * 24 * 3600)) })
}

/// Where analyses are queued: `ANALYSIS_QUEUE_URL`.
///
/// # Errors
/// If it is not set.
pub fn analysis_queue_url(lookup: Lookup<'_>) -> Result<String, Error> {
    required(lookup, "ANALYSIS_QUEUE_URL")
}

/// What is analysed of every new scan: `AUTO_ANALYZE`, severities with commas between them
/// (`CRITICAL,HIGH`); empty or unset for nothing. With it, the URL of the queue.
///
/// # Errors
/// If one is not a severity, or `OLLAMA_MODEL` or `ANALYSIS_QUEUE_URL` is not set.
pub fn auto_analyze(lookup: Lookup<'_>) -> Result<Option<(AutoAnalyze, String)>, Error> {
    const NAME: &str = "AUTO_ANALYZE";
    let Some(list) = lookup(NAME).filter(|list| !list.trim().is_empty()) else { return Ok(None) };
    let severities = list
        .split(',')
        .map(|word| word.trim().parse())
        .collect::<Result<Vec<_>, ParseSeverityError>>()
        .map_err(|error| Error::Invalid { name: NAME, reason: format!("not a list of severities: one {error}") })?;
    let questions = questions(lookup)?.ok_or(Error::Missing { name: "OLLAMA_MODEL" })?;
    let priorities = priorities(lookup)?;
    Ok(Some((AutoAnalyze { severities, questions, priorities }, analysis_queue_url(lookup)?)))
}

/// How the Ollama host is reached, and for how long.
#[derive(Debug)]
pub struct Host {
    /// `OLLAMA_URL`; `OLLAMA_CA_PEM`, certificates of a private authority that the host's is signed by
    /// (default none); and `OLLAMA_FIRST_TOKEN_SECONDS` (default 240: a model may have to be loaded)
    /// and `OLLAMA_IDLE_SECONDS` (default 30).
    pub ollama: OllamaConfig,
    /// `LEASE_SECONDS` (default 360): must be more than the function's timeout.
    pub lease: Duration,
}

impl Host {
    /// Reads the variables. `bearer` is the token of a proxy before the host, if it wants one.
    ///
    /// # Errors
    /// If the URL is missing or refused, or a number is not in its range.
    pub fn read(lookup: Lookup<'_>, bearer: Option<Bearer>) -> Result<Self, Error> {
        const URL: &str = "OLLAMA_URL";
        let url: OllamaUrl = required(lookup, URL)?
            .parse()
            .map_err(|error: InvalidUrl| Error::Invalid { name: URL, reason: format!("refused: {error}") })?;
        let seconds = |name, default, max| number(lookup, name, default, 1, max).map(Duration::from_secs);
        Ok(Self {
            ollama: OllamaConfig {
                bearer,
                extra_roots_pem: lookup("OLLAMA_CA_PEM").filter(|pem| !pem.is_empty()).map(String::into_bytes),
                first_token_timeout: seconds("OLLAMA_FIRST_TOKEN_SECONDS", 240, 840)?,
                idle_timeout: seconds("OLLAMA_IDLE_SECONDS", 30, 840)?,
                ..OllamaConfig::new(url)
            },
            lease: seconds("LEASE_SECONDS", 360, 3600)?,
        })
    }
}

/// `OLLAMA_TOKEN_SECRET`: the secret that holds the bearer token of a proxy before the Ollama host.
#[must_use]
pub fn token_secret(lookup: Lookup<'_>) -> Option<String> {
    lookup("OLLAMA_TOKEN_SECRET").filter(|name| !name.is_empty())
}

/// `ENRICHMENT_QUEUE_URL`: where it is queued that vulnerabilities be looked up; none if they are not.
#[must_use]
pub fn enrichment_queue_url(lookup: Lookup<'_>) -> Option<String> {
    lookup("ENRICHMENT_QUEUE_URL").filter(|url| !url.is_empty())
}

/// The queues by what they are of, where they are configured: `UPLOAD_QUEUE_URL`, `ANALYSIS_QUEUE_URL`,
/// `ENRICHMENT_QUEUE_URL`.
#[must_use]
pub fn queues(lookup: Lookup<'_>) -> [(&'static str, Option<String>); 3] {
    [
        ("upload_queue", "UPLOAD_QUEUE_URL"),
        ("analysis_queue", "ANALYSIS_QUEUE_URL"),
        ("enrichment_queue", "ENRICHMENT_QUEUE_URL"),
    ]
    .map(|(name, variable)| (name, lookup(variable).filter(|url| !url.is_empty())))
}

/// The kind of `ENRICHMENT_SOURCES`, for those who do not ask them: `live`, `mirror`, `dir`, or `unknown`.
#[must_use]
pub fn sources_mode(lookup: Lookup<'_>) -> &'static str {
    match lookup("ENRICHMENT_SOURCES").as_deref() {
        None | Some("" | "live") => "live",
        Some("mirror") => "mirror",
        Some(mode) if mode.starts_with("dir:") => "dir",
        Some(_) => "unknown",
    }
}

/// Whom to ask about vulnerabilities: `ENRICHMENT_SOURCES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// `live` (default): the sources themselves.
    Live(Box<LiveSources>),
    /// `mirror`: below `mirror/v1/` in the bucket.
    Mirror,
    /// `dir:/path`: in a folder, for development and tests; only where AWS is an emulator on this machine.
    Folder(PathBuf),
}

/// Where the live sources are, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSources {
    /// `NVD_URL`, `OSV_URL`, `CVE_SERVICES_URL`, `KEV_URL`, `KEV_MIRROR_URL`, `EPSS_URL`.
    pub addresses: Addresses,
    /// `SOURCES_CONTACT`: an address that goes to the sources with each request (default none).
    pub contact: Option<String>,
    /// `NVD_API_KEY_SECRET`: the secret with NVD's API key (default none: ten times slower).
    pub nvd_key_secret: Option<String>,
}

/// How vulnerabilities are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrichment {
    /// Whom to ask.
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
    /// If the queue is missing, a mode is none, `dir:` is asked for where AWS is not on this machine, or an address is
    /// neither `https` nor of this machine.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        const MODE: &str = "ENRICHMENT_SOURCES";
        let sources = match lookup(MODE).as_deref() {
            None | Some("" | "live") => Sources::Live(Box::new(live_sources(lookup)?)),
            Some("mirror") => Sources::Mirror,
            Some(mode) => match mode.strip_prefix("dir:").map(PathBuf::from).filter(|path| path.is_absolute()) {
                // A deployment that reads its function's own disk would believe that nothing is known of anything.
                Some(_) if !aws_is_on_this_machine(lookup) => {
                    let reason =
                        "dir:, which only a developer's machine takes: AWS_ENDPOINT_URL is no loopback address";
                    return Err(Error::Invalid { name: MODE, reason: reason.to_owned() });
                }
                Some(path) => Sources::Folder(path),
                None => {
                    let reason = "none of live, mirror and dir:/absolute/path".to_owned();
                    return Err(Error::Invalid { name: MODE, reason });
                }
            },
        };
        Ok(Self {
            sources,
            queue_url: required(lookup, "ENRICHMENT_QUEUE_URL")?,
            lease: Duration::from_secs(number(lookup, "LEASE_SECONDS", 330, 1, 3600)?),
        })
    }
}

/// Whether all of AWS is what `AWS_ENDPOINT_URL` names, on a loopback address.
fn aws_is_on_this_machine(lookup: Lookup<'_>) -> bool {
    let url = lookup("AWS_ENDPOINT_URL").and_then(|text| Url::parse(&text).ok());
    match url.as_ref().and_then(Url::host) {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn live_sources(lookup: Lookup<'_>) -> Result<LiveSources, Error> {
    let address = |name: &'static str, default: &str| {
        let text = lookup(name).filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned());
        text.parse::<BaseUrl>().map_err(|error| Error::Invalid { name, reason: format!("refused: it {error}") })
    };
    Ok(LiveSources {
        addresses: Addresses {
            nvd: address("NVD_URL", "https://services.nvd.nist.gov/rest/json/cves/2.0")?,
            osv: address("OSV_URL", "https://api.osv.dev")?,
            cve_services: address("CVE_SERVICES_URL", "https://cveawg.mitre.org")?,
            kev: address(
                "KEV_URL",
                "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
            )?,
            kev_mirror: address(
                "KEV_MIRROR_URL",
                "https://raw.githubusercontent.com/cisagov/kev-data/main/known_exploited_vulnerabilities.json",
            )?,
            epss: address("EPSS_URL", "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz")?,
        },
        contact: lookup("SOURCES_CONTACT").filter(|contact| !contact.is_empty()),
        nvd_key_secret: lookup("NVD_API_KEY_SECRET").filter(|name| !name.is_empty()),
    })
}

fn required(lookup: Lookup<'_>, name: &'static str) -> Result<String, Error> {
    lookup(name).filter(|value| !value.is_empty()).ok_or(Error::Missing { name })
}

fn flag(lookup: Lookup<'_>, name: &'static str, default: bool) -> Result<bool, Error> {
    match lookup(name).as_deref() {
        None | Some("") => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(Error::Invalid { name, reason: "neither true nor false".to_owned() }),
    }
}

fn number<N>(lookup: Lookup<'_>, name: &'static str, default: N, min: N, max: N) -> Result<N, Error>
where
    N: FromStr + PartialOrd + Display,
{
    let Some(text) = lookup(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    match text.parse() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(Error::Invalid { name, reason: format!("not a number from {min} to {max}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_a_default_but_for_the_table() {
        let nothing = |_: &str| None;
        let ingestion = Ingestion::read(&nothing).unwrap();
        assert_eq!((ingestion.limits.max_findings, ingestion.lease), (50_000, Duration::from_secs(60)));
        assert_eq!(table_name(&nothing).unwrap_err().to_string(), "the environment variable TABLE_NAME is not set");
    }

    #[test]
    fn aws_is_reached_with_the_variables_that_lambda_sets_and_not_without_credentials() {
        let with = |names: &'static [(&str, &str)]| {
            move |name: &str| names.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        let keys =
            with(&[("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "")]);
        let aws = Aws::read(&keys).unwrap();
        assert_eq!((aws.region.as_str(), aws.credentials.access_key_id()), ("us-east-1", "key"));
        assert_eq!((aws.credentials.session_token(), aws.use_fips, aws.use_dual_stack), (None, false, false));
        assert!(!format!("{aws:?}").contains("secret\""), "{aws:?}");

        assert!(Aws::read(&|_| None).is_err());
        let keys =
            [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_USE_FIPS_ENDPOINT", "yes")];
        assert!(
            Aws::read(&|name| keys.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())).is_err()
        );
    }

    #[test]
    fn scans_get_as_old_as_they_like_unless_days_are_set() {
        let days = |days: &'static str| move |name: &str| (name == "RETENTION_DAYS").then(|| days.to_owned());
        assert_eq!(retention(&|_| None).unwrap(), None);
        assert_eq!(retention(&days("0")).unwrap(), None);
        assert_eq!(retention(&days("2")).unwrap(), Some(Duration::from_secs(172_800)));
        assert!(retention(&days("-1")).is_err() && retention(&days("36501")).is_err());
    }

    #[test]
    fn reports_are_archived_unless_that_is_switched_off() {
        let set = |value: &'static str| move |name: &str| (name == "ARCHIVE_REPORTS").then(|| value.to_owned());
        assert!(Ingestion::read(&|_| None).unwrap().archive);
        assert!(!Ingestion::read(&set("false")).unwrap().archive);
        assert!(Ingestion::read(&set("no")).is_err());
    }

    #[test]
    fn what_is_analysed_by_itself_needs_a_model_and_a_queue() {
        let with = |names: &'static [(&str, &str)]| {
            move |name: &str| names.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(auto_analyze(&with(&[])).unwrap().is_none());
        assert!(auto_analyze(&with(&[("AUTO_ANALYZE", "HIGH")])).is_err());
        assert!(auto_analyze(&with(&[("AUTO_ANALYZE", "HIGH"), ("OLLAMA_MODEL", "m")])).is_err());
        let all = with(&[("AUTO_ANALYZE", "CRITICAL, high"), ("OLLAMA_MODEL", "m"), ("ANALYSIS_QUEUE_URL", "u")]);
        assert_eq!(auto_analyze(&all).unwrap().unwrap().0.severities.len(), 2);
        let cramped = with(&[("OLLAMA_MODEL", "m"), ("OLLAMA_NUM_CTX", "2048"), ("OLLAMA_NUM_PREDICT", "1025")]);
        assert!(questions(&cramped).is_err());
    }

    #[test]
    fn images_are_public_unless_they_are_said_to_be_internal_without_a_typing_error() {
        let exposure = |text: &'static str| move |name: &str| (name == "EXPOSURE").then(|| text.to_owned());
        assert!(priorities(&|_| None).unwrap().exposures.of("app").is_public());
        assert!(!priorities(&exposure("internal=*/batch/*")).unwrap().exposures.of("r/batch/app").is_public());
        let message = priorities(&exposure("intern=*")).unwrap_err().to_string();
        assert!(message.starts_with("the environment variable EXPOSURE is refused: it has an entry"), "{message}");
    }

    #[test]
    fn sources_are_live_a_mirror_or_a_folder_and_never_reached_without_tls() {
        let read = |mode: &'static str, nvd: &'static str| {
            Enrichment::read(&move |name: &str| match name {
                "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:4566".to_owned()),
                "ENRICHMENT_QUEUE_URL" => Some("u".to_owned()),
                "ENRICHMENT_SOURCES" => Some(mode.to_owned()),
                "NVD_URL" => Some(nvd.to_owned()),
                _ => None,
            })
        };
        assert!(matches!(read("", "").unwrap().sources, Sources::Live(_)));
        assert_eq!(read("mirror", "").unwrap().sources, Sources::Mirror);
        assert_eq!(read("dir:/tmp/x", "").unwrap().sources, Sources::Folder("/tmp/x".into()));
        assert!(read("dir:relative", "").is_err() && read("offline", "").is_err());
        assert!(read("live", "http://127.0.0.1:1/nvd").is_ok());
        assert!(read("live", "http://nvd.example/").is_err());
        assert!(Enrichment::read(&|_| None).is_err());
        assert_eq!(enrichment_queue_url(&|_| Some(String::new())), None);
    }

    #[test]
    fn a_folder_of_sources_is_refused_where_aws_is_not_on_this_machine() {
        let read = |endpoint: Option<&'static str>| {
            Enrichment::read(&move |name: &str| match name {
                "AWS_ENDPOINT_URL" => endpoint.map(str::to_owned),
                "ENRICHMENT_QUEUE_URL" => Some("u".to_owned()),
                "ENRICHMENT_SOURCES" => Some("dir:/tmp/x".to_owned()),
                _ => None,
            })
        };
        for endpoint in ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:1/"] {
            assert_eq!(read(Some(endpoint)).unwrap().sources, Sources::Folder("/tmp/x".into()), "{endpoint}");
        }
        let elsewhere =
            ["", "x", "https://dynamodb.eu-west-1.amazonaws.com", "http://127.0.0.1.example", "http://10.0.0.1"];
        for endpoint in elsewhere.into_iter().map(Some).chain([None]) {
            let message = read(endpoint).unwrap_err().to_string();
            assert!(
                message.starts_with("the environment variable ENRICHMENT_SOURCES is dir:"),
                "{endpoint:?}: {message}"
            );
        }
    }

    #[test]
    fn a_bucket_has_a_name_and_may_have_an_account_that_it_must_belong_to() {
        let read = |owner: &'static str| {
            bucket(&move |name: &str| match name {
                "BUCKET_NAME" => Some("b".to_owned()),
                "BUCKET_OWNER" => Some(owner.to_owned()),
                _ => None,
            })
        };
        assert!(bucket(&|_| None).is_err());
        assert_eq!(read("").unwrap(), Bucket { name: "b".to_owned(), owner: None });
        assert_eq!(read("123456789012").unwrap().owner.as_deref(), Some("123456789012"));
        assert!(read("12345678901").is_err() && read("12345678901x").is_err() && read("arn:aws:iam::1:root").is_err());
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for value in ["0", "100001", "many", "-1"] {
            let lookup = |name: &str| (name == "MAX_FINDINGS").then(|| value.to_owned());
            let message = Ingestion::read(&lookup).unwrap_err().to_string();
            assert_eq!(message, "the environment variable MAX_FINDINGS is not a number from 1 to 100000");
        }
    }
}
