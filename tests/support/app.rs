//! Runs the handlers in this process, on a table of their own behind a proxy.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::{Body, Request, Response};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sirius::aws::Clients;
use sirius::config::Environment;
use sirius::domain::declared::Declared;
use sirius::domain::fleet::{Fleet, Scope};
use sirius::domain::severity::Severity;
use sirius::events::{enrich_cves, run_analysis};
use sirius::http::{
    self, ApiError, analyze_finding, analyze_scan, confirm_scan, create_upload, delete_scan, get_cve, get_finding,
    get_health, get_report, get_scan, get_upload, ingest_scan, list_findings, list_priorities, list_scans, no_route,
    retire_image,
    routes::{self, ROUTES, Route},
};
use sirius::llm::{Ollama, OllamaConfig, Options, Questions};
use sirius::objects::Objects;
use sirius::pipeline::enrich::Enrichment;
use sirius::pipeline::ingest::{self, Ingested, Ingestion, ingest_report};
use sirius::pipeline::recover::{Recovered, Recovery, run_recovery};
use sirius::queue::Queue;
use sirius::report::body::Compression;
use sirius::report::{Limits, Submission};
use sirius::sources::Mode;
use sirius::startup::{self, Startup};
use sirius::store::Store;
use sirius::store::lease::Owner;
use tokio::time::Instant;

use crate::proxy::Proxy;
use crate::{bucket, queue, table};

/// A queue that is never called.
const ABSENT: &str = "http://127.0.0.1:9/absent";

/// Sirius without Lambda.
#[derive(Debug)]
pub struct App {
    /// The table's name.
    pub table: String,
    /// The proxy before the table.
    pub proxy: Proxy,
    /// The lease of ingestions.
    pub lease: Duration,
    /// The limits of a report.
    pub limits: Limits,
    /// The queue of analyses.
    pub queue_url: String,
    /// The settings of questions.
    pub questions: Option<Questions>,
    /// Which images untrusted people reach, as `EXPOSURE` has it.
    pub exposure: String,
    /// How long the fleet is read for its priorities.
    pub fleet_time: Duration,
    /// The selection of images.
    pub fleet: Fleet,
    /// Whether nameless reports are refused.
    pub require_image_name: bool,
    /// The findings of each new scan that are analysed.
    pub auto: Vec<Severity>,
    /// The name of the bucket, which exists only with an archive.
    pub bucket: String,
    /// Whether reports are archived.
    pub archive: bool,
    /// The retention of scans.
    pub retention: Option<Duration>,
    /// Whether answers expect enrichment, whose results the tests write themselves.
    pub enriched: bool,
    /// The queue of enrichment; empty without enrichment.
    pub enrichment_queue_url: String,
}

/// An unpacked answer. A text that is not JSON, such as CSV, is one JSON string.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: lambda_http::http::HeaderMap,
    pub json: Value,
}

impl Answer {
    /// Returns the text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the items of a list.
    pub fn list(&self) -> &Vec<Value> {
        self.json.as_array().unwrap_or_else(|| panic!("not a list: {self:?}"))
    }

    /// Returns the query of the next page.
    pub fn next(&self) -> Option<String> {
        let link = self.header("link")?;
        let next = link.strip_prefix("<?")?.strip_suffix(">; rel=\"next\"");
        Some(next.unwrap_or_else(|| panic!("an odd link: {link}")).to_owned())
    }
}

impl App {
    pub async fn new() -> Self {
        Self {
            table: table::fresh().await,
            proxy: Proxy::start(table::endpoint()).await,
            lease: Duration::from_secs(60),
            limits: Limits::default(),
            queue_url: String::new(),
            questions: None,
            exposure: String::new(),
            fleet_time: list_priorities::READ_BUDGET,
            fleet: Fleet::default(),
            require_image_name: false,
            auto: Vec::new(),
            bucket: "none".to_owned(),
            archive: false,
            retention: None,
            enriched: true,
            enrichment_queue_url: String::new(),
        }
    }

    /// Starts with a bucket and a queue, as with enrichment.
    pub async fn with_enrichment() -> Self {
        Self { enrichment_queue_url: queue::fresh().await, ..Self::with_archive().await }
    }

    /// Returns the dependencies of enrichment, as a new function instance has them.
    pub async fn enrichment(&self, mode: Mode) -> Enrichment {
        let own = [("ENRICHMENT_SOURCES", "mirror"), ("LEASE_SECONDS", "330")];
        let startup = self.startup_with(own.map(|(name, value)| (name, value.to_owned())).into());
        Enrichment { mode, ..startup.enrichment().await.unwrap() }
    }

    /// The start of a function in this deployment.
    pub fn startup(&self) -> Startup {
        self.startup_with(Vec::new())
    }

    /// The same with variables that only this function has.
    fn startup_with(&self, own: Vec<(&'static str, String)>) -> Startup {
        let environment: Environment = self.variables().into_iter().chain(own).collect();
        let clients = Clients::new(&environment).unwrap().with_retries(table::retries());
        Startup::new(environment, clients).unwrap()
    }

    /// The variables that template.yaml sets for functions.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let of_process = |name| std::env::var(name).unwrap_or_default();
        let scope = match self.fleet.scope {
            Scope::Tags => "tags",
            Scope::NewestPerRepository => "newest-per-repository",
        };
        let days = self.fleet.max_age.map_or(0, |age| age.as_secs() / (24 * 3600));
        let severities: Vec<String> = self.auto.iter().map(ToString::to_string).collect();
        let mut variables = vec![
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", of_process("AWS_ACCESS_KEY_ID")),
            ("AWS_SECRET_ACCESS_KEY", of_process("AWS_SECRET_ACCESS_KEY")),
            ("AWS_SESSION_TOKEN", of_process("AWS_SESSION_TOKEN")),
            ("AWS_ENDPOINT_URL", self.proxy.url.clone()),
            ("TABLE_NAME", self.table.clone()),
            ("BUCKET_NAME", self.bucket.clone()),
            ("ARCHIVE_REPORTS", self.archive.to_string()),
            ("ANALYSIS_QUEUE_URL", if self.queue_url.is_empty() { ABSENT.to_owned() } else { self.queue_url.clone() }),
            ("ENRICHMENT_QUEUE_URL", self.enrichment_queue_url.clone()),
            ("LEASE_SECONDS", self.lease.as_secs().to_string()),
            ("MAX_REPORT_BYTES", self.limits.max_bytes.to_string()),
            ("MAX_FINDINGS", self.limits.max_findings.to_string()),
            ("REQUIRE_IMAGE_NAME", self.require_image_name.to_string()),
            ("EXPOSURE", self.exposure.clone()),
            ("FLEET_SCOPE", scope.to_owned()),
            ("FLEET_MAX_AGE_DAYS", days.to_string()),
        ];
        if let Some(Questions { model, options }) = &self.questions {
            variables.extend([
                ("OLLAMA_MODEL", model.clone()),
                ("OLLAMA_NUM_CTX", options.num_ctx.to_string()),
                ("OLLAMA_NUM_PREDICT", options.num_predict.to_string()),
                ("AUTO_ANALYZE", severities.join(",")),
            ]);
        }
        variables
    }

    /// The variables that differ for one function.
    fn own_variables(&self, function: &str) -> Vec<(&'static str, String)> {
        match function {
            // They sign addresses, under the address that will be called.
            "create-upload" | "get-report" | "get-scan" | "list-findings" => {
                vec![("AWS_ENDPOINT_URL_S3", table::endpoint())]
            }
            "get-cve" | "list-priorities" => {
                vec![("ENRICHMENT_QUEUE_URL", if self.enriched { ABSENT.to_owned() } else { String::new() })]
            }
            "get-health" => vec![("ANALYSIS_QUEUE_URL", self.queue_url.clone())],
            _ => Vec::new(),
        }
    }

    /// Runs `enrich-cves` as Lambda's poller does until the queue is empty; returns the numbers of messages and of failures.
    pub async fn enrich(&self, deps: &Enrichment) -> (usize, usize) {
        let (mut messages, mut failed) = (0, 0);
        loop {
            let bodies = queue::drain(&self.enrichment_queue_url).await;
            if bodies.is_empty() {
                return (messages, failed);
            }
            messages += bodies.len();
            for batch in bodies.chunks(10) {
                failed += enrich_batch(deps, batch).await;
            }
        }
    }

    /// Starts with a bucket, as with an archive.
    pub async fn with_archive() -> Self {
        Self { bucket: bucket::fresh().await, archive: true, ..Self::new().await }
    }

    /// Returns the bucket behind the proxy.
    pub async fn objects(&self) -> Objects {
        Objects::new(bucket::client(&self.proxy.url).await, self.bucket.clone())
    }

    /// Returns the state of ingestion.
    pub async fn ingestion(&self) -> Ingestion {
        self.startup().ingestion().unwrap()
    }

    /// Ingests a report at a given second, without HTTP.
    pub async fn deliver(&self, report: &Value, second: i64) -> Result<Ingested, ingest::Error> {
        let body = report.to_string().into_bytes();
        let submission =
            Submission::read(body, Compression::None, Declared::default(), self.limits, self.archive).unwrap();
        let report = submission.report().unwrap();
        let owner = Owner::random().unwrap();
        ingest_report(&self.ingestion().await, &submission, &report, &owner, at(second)).await
    }

    /// Runs recovery at a given time.
    pub async fn recover(&self, now: Timestamp) -> Recovered {
        let deadline = Instant::now() + Duration::from_secs(30);
        run_recovery(&self.recovery().await, "", now, deadline).await.unwrap()
    }

    /// Returns the dependencies of recovery.
    pub async fn recovery(&self) -> Recovery {
        // It needs a bucket, if only to have one.
        let bucket = if self.bucket == "none" { "absent" } else { &self.bucket };
        let startup = self.startup_with(vec![("BUCKET_NAME", bucket.to_owned())]);
        Recovery { retention: self.retention, ..startup.recovery().unwrap() }
    }

    /// Starts with a queue, as with analyses.
    pub async fn with_analysis() -> Self {
        let questions = Questions { model: "m".to_owned(), options: Options::default() };
        Self { queue_url: queue::fresh().await, questions: Some(questions), ..Self::new().await }
    }

    /// Returns the queue behind the proxy.
    pub async fn queue(&self) -> Queue {
        Queue::new(queue::client(&self.proxy.url).await, self.queue_url.clone())
    }

    /// Runs `run-analysis` on each message as Lambda's poller does; returns their number and the ids of failed ones.
    pub async fn work(&self, ollama: OllamaConfig) -> (usize, Vec<String>) {
        let bodies = queue::drain(&self.queue_url).await;
        let deps = run_analysis::Deps {
            store: self.warm_store().await,
            ollama: Ollama::new(ollama).unwrap(),
            lease: self.lease,
        };
        let count = bodies.len();
        let mut context = lambda_http::Context::default();
        context.deadline = u64::MAX / 2;
        let event = LambdaEvent::new(queue::event(bodies), context);
        let response = run_analysis::handle(&deps, event).await.unwrap();
        (count, response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect())
    }

    /// Returns a store without any cached state.
    pub async fn store(&self) -> Store {
        Store::new(table::client(&self.proxy.url).await, self.table.clone())
    }

    /// Returns a store with an open connection, as `main` leaves it.
    pub async fn warm_store(&self) -> Store {
        let store = self.store().await;
        store.warm().await;
        self.proxy.take_calls();
        store
    }

    /// Calls the handler of a function.
    pub async fn invoke(&self, function: &str, request: Request) -> Answer {
        let startup = self.startup_with(self.own_variables(function)).connected().await;
        self.proxy.take_calls();
        answer(match function {
            "ingest-scan" => serve(request, startup.ingestion(), ingest_scan::handle).await,
            "create-upload" => serve(request, startup.create_upload(), create_upload::handle).await,
            "get-upload" => serve(request, startup.storage(), get_upload::handle).await,
            "get-report" => serve(request, startup.storage(), get_report::handle).await,
            "delete-scan" => serve(request, startup.storage(), delete_scan::handle).await,
            "confirm-scan" => serve(request, startup.confirm_scan(), confirm_scan::handle).await,
            "retire-image" => serve(request, Ok(startup.store()), retire_image::handle).await,
            "list-scans" => serve(request, Ok(startup.store()), list_scans::handle).await,
            "get-scan" => serve(request, startup.list_findings(), get_scan::handle).await,
            "list-findings" => serve(request, startup.list_findings(), list_findings::handle).await,
            "get-finding" => serve(request, startup.finding_reader(), get_finding::handle).await,
            "get-cve" => serve(request, startup.get_cve(), get_cve::handle).await,
            "list-priorities" => {
                let state =
                    startup.list_priorities().map(|deps| list_priorities::Deps { time: self.fleet_time, ..deps });
                serve(request, state, list_priorities::handle).await
            }
            "analyze-finding" => serve(request, startup.analyze_finding(), analyze_finding::handle).await,
            "analyze-scan" => serve(request, startup.analyze_finding(), analyze_scan::handle).await,
            "get-health" => serve(request, startup.get_health(), get_health::handle).await,
            "no-route" => serve(request, Ok(()), no_route::handle).await,
            other => panic!("no HTTP handler for {other}"),
        })
    }

    pub async fn post(&self, report: &Value) -> Answer {
        self.post_as(&report.to_string().into_bytes(), "", &[("content-type", "application/json")]).await
    }

    pub async fn post_as(&self, body: &[u8], query: &str, headers: &[(&str, &str)]) -> Answer {
        self.invoke("ingest-scan", event("POST", routes::INGEST_SCAN.path, query, headers, Some(body))).await
    }

    pub async fn get(&self, path_and_query: &str) -> Answer {
        self.get_as(path_and_query, &[]).await
    }

    /// Calls the handler of the route.
    pub async fn get_as(&self, path_and_query: &str, headers: &[(&str, &str)]) -> Answer {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let function = routed(path).function;
        self.invoke(function, event("GET", path, query, headers, None)).await
    }

    /// Creates an upload.
    pub async fn open_upload(&self, order: &Value) -> Answer {
        self.open_upload_with(order.to_string().as_bytes()).await
    }

    /// Sends the body of an upload request unchanged.
    pub async fn open_upload_with(&self, body: &[u8]) -> Answer {
        let headers = [("content-type", "application/json")];
        self.invoke("create-upload", event("POST", routes::CREATE_UPLOAD.path, "", &headers, Some(body))).await
    }

    pub async fn delete(&self, scan: impl std::fmt::Display) -> Answer {
        let path = routes::DELETE_SCAN.with(scan);
        self.invoke("delete-scan", event("DELETE", &path, "", &[], None)).await
    }

    /// Confirms a scan.
    pub async fn confirm(&self, scan: impl std::fmt::Display) -> Answer {
        let path = routes::CONFIRM_SCAN.with(scan);
        self.invoke("confirm-scan", event("POST", &path, "", &[], None)).await
    }

    /// Retires (`retire`) or restores (`unretire`) an image.
    pub async fn retire(&self, verb: &str, order: &Value) -> Answer {
        let is_back = verb == "unretire";
        let path = if is_back { routes::UNRETIRE_IMAGE.path } else { routes::RETIRE_IMAGE.path };
        let headers = [("content-type", "application/json")];
        self.invoke("retire-image", event("POST", path, "", &headers, Some(order.to_string().as_bytes()))).await
    }

    /// Requests the analysis of a scan.
    pub async fn analyze_scan(&self, scan_and_query: &str) -> Answer {
        let (scan, query) = scan_and_query.split_once('?').unwrap_or((scan_and_query, ""));
        let path = routes::ANALYZE_SCAN.with(scan);
        self.invoke("analyze-scan", event("POST", &path, query, &[], None)).await
    }

    /// Reads all pages of a list.
    pub async fn get_all(&self, path: &str, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut next = Some(query.to_owned());
        while let Some(query) = next {
            let page = self.get(&format!("{path}?{query}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            all.extend(page.list().iter().cloned());
            next = page.next();
        }
        all
    }
}

/// Runs the handler of a function.
async fn serve<D>(
    request: Request,
    state: Result<D, startup::Error>,
    handle: impl AsyncFn(&D, &Request) -> Result<Response<Body>, ApiError>,
) -> Result<Response<Body>, lambda_http::Error> {
    let state = state.unwrap();
    http::serve(request, async |request| handle(&state, request).await).await
}

/// Runs `enrich-cves` on some messages; returns the number of failed ones.
pub async fn enrich_batch(deps: &Enrichment, bodies: &[String]) -> usize {
    let mut context = lambda_http::Context::default();
    context.deadline = u64::MAX / 2;
    let event = LambdaEvent::new(queue::event(bodies.to_vec()), context);
    enrich_cves::handle(deps, event).await.unwrap().batch_item_failures.len()
}

/// The route that serves a path of a GET, as API Gateway chooses it: one without a greedy parameter first. A path of no
/// route goes to the route whose path it begins like, so that the handler can be tried with it.
fn routed(path: &str) -> Route {
    let begins_like = |route: &Route| path.starts_with(route.path.split('{').next().unwrap_or_default());
    let routes = ROUTES.into_iter().filter(|route| route.method == "GET" && (route.has(path) || begins_like(route)));
    let best = routes.min_by_key(|route| (!route.has(path), route.path.ends_with("+}")));
    best.unwrap_or_else(|| panic!("no route for {path}"))
}

/// A time that tests count from.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Builds a request of API Gateway's HTTP API (payload 2.0).
pub fn event(method: &str, raw_path: &str, query: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Request {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let text = body.map(|body| std::str::from_utf8(body));
    let (body, is_base64) = match text {
        None => (Value::Null, false),
        Some(Ok(text)) => (text.into(), false),
        Some(Err(_)) => (base64(body.unwrap_or_default()).into(), true),
    };
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": raw_path, "rawQueryString": query,
        "headers": headers, "body": body, "isBase64Encoded": is_base64,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "domainName": "127.0.0.1", "domainPrefix": "127",
            "http": {"method": method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"},
            "requestId": "test-request", "routeKey": "$default", "stage": "$default", "time": "21/Nov/2026:10:00:00 +0000",
            "timeEpoch": 1_795_255_200_000_u64
        }
    });
    lambda_http::request::from_str(&event.to_string()).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

fn answer(response: Result<Response<Body>, lambda_http::Error>) -> Answer {
    let (parts, body) = response.unwrap().into_parts();
    let mut bytes = body.to_vec();
    if parts.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        bytes = gunzip(&bytes);
    }
    let json = match bytes.as_slice() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).unwrap_or_else(|_| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let content_type = parts.headers.get("content-type").map(|value| value.to_str().unwrap());
            let is_json = content_type.is_none_or(|it| matches!(it, "application/json" | "application/problem+json"));
            assert!(!is_json, "not JSON: {text:?}");
            Value::String(text)
        }),
    };
    Answer { status: parts.status.as_u16(), headers: parts.headers, json }
}

/// Unpacks gzip.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut unpacked).unwrap();
    unpacked
}

/// Packs gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}
