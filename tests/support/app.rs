//! The handlers in this process, on a table of their own, with a proxy before it.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::{Body, Request, Response};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use sirius::domain::declared::Declared;
use sirius::domain::fleet::Fleet;
use sirius::domain::severity::Severity;
use sirius::enrichment::freshness::Lifetimes;
use sirius::events::{enrich_cves, run_analysis};
use sirius::http::{
    self, analyze_finding, analyze_scan, confirm_scan, create_upload, delete_scan, get_cve, get_finding, get_health,
    get_report, get_scan, get_upload, ingest_scan, list_findings, list_priorities, list_scans, no_route, retire_image,
};
use sirius::llm::{Ollama, OllamaConfig, Options, Questions};
use sirius::objects::Objects;
use sirius::pipeline::enrich::{Enrichment, FeedCache};
use sirius::pipeline::ingest::{self, AutoAnalyze, Ingested, Ingestion, ingest_report};
use sirius::pipeline::recover::{Recovered, Recovery, run_recovery};
use sirius::queries::finding_reader::FindingReader;
use sirius::queries::fleet_reader::FleetReader;
use sirius::queries::priority_config::PriorityConfig;
use sirius::queue::Queue;
use sirius::report::body::Compression;
use sirius::report::{Limits, Submission};
use sirius::sources::Mode;
use sirius::store::Store;
use sirius::store::claims::Holder;
use tokio::time::Instant;

use crate::proxy::Proxy;
use crate::{bucket, queue, table};

/// Sirius without Lambda.
#[derive(Debug)]
pub struct App {
    /// The table's name.
    pub table: String,
    /// What stands before the table.
    pub proxy: Proxy,
    /// The lease of ingestions.
    pub lease: Duration,
    /// What a report may cost.
    pub limits: Limits,
    /// Where analyses are queued.
    pub queue_url: String,
    /// How findings are asked about.
    pub questions: Option<Questions>,
    /// The settings of the priority rule.
    pub priorities: PriorityConfig,
    /// How long the fleet is read for its priorities.
    pub fleet_time: Duration,
    /// Which images count.
    pub fleet: Fleet,
    /// Whether reports are refused that name nothing.
    pub require_image_name: bool,
    /// What is analysed of every new scan.
    pub auto: Vec<Severity>,
    /// The bucket's name; there is one only with an archive.
    pub bucket: String,
    /// Whether reports are kept as they came.
    pub archive: bool,
    /// How old scans may get.
    pub retention: Option<Duration>,
    /// Whether answers may rely on vulnerabilities being looked up. Tests write down themselves what that would find.
    pub enriched: bool,
    /// Where it is queued that vulnerabilities be looked up; empty if they are not.
    pub enrichment_queue_url: String,
}

/// An answer, unpacked.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: lambda_http::http::HeaderMap,
    pub json: Value,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The array that a list is.
    pub fn list(&self) -> &Vec<Value> {
        self.json.as_array().unwrap_or_else(|| panic!("not a list: {self:?}"))
    }

    /// The query of the next page.
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
            priorities: PriorityConfig::default(),
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

    /// The same with a bucket and a queue, in a deployment where vulnerabilities are looked up.
    pub async fn with_enrichment() -> Self {
        Self { enrichment_queue_url: queue::fresh().await, ..Self::with_archive().await }
    }

    /// What vulnerabilities are looked up with, as a new function instance has it.
    pub async fn enrichment(&self, mode: Mode) -> Enrichment {
        Enrichment {
            store: self.store().await,
            objects: self.objects().await,
            queue: self.enrichment_queue().await,
            mode,
            lifetimes: Lifetimes::default(),
            lease: Duration::from_secs(330),
            feeds: FeedCache::default(),
        }
    }

    async fn enrichment_queue(&self) -> Queue {
        Queue::new(queue::client(&self.proxy.url).await, self.enrichment_queue_url.clone())
    }

    /// Does what Lambda's poller and `enrich-cves` do until nothing is queued; answers how many messages
    /// there were, and how many of them came back.
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

    /// The same with a bucket, in a deployment that keeps reports.
    pub async fn with_archive() -> Self {
        Self { bucket: bucket::fresh().await, archive: true, ..Self::new().await }
    }

    /// The bucket, through the proxy.
    pub async fn objects(&self) -> Objects {
        Objects::new(bucket::client(&self.proxy.url).await, self.bucket.clone())
    }

    fn has_bucket(&self) -> bool {
        self.bucket != "none"
    }

    /// The bucket, if there is one.
    async fn bucket(&self) -> Option<Objects> {
        if self.has_bucket() { Some(self.objects().await) } else { None }
    }

    /// The bucket, as those who sign addresses in it need it: under the address that will be called.
    async fn signing_objects(&self) -> Objects {
        Objects::new(bucket::client(&table::endpoint()).await, self.bucket.clone())
    }

    /// What reports are taken in with.
    pub async fn ingestion(&self) -> Ingestion {
        let auto = match self.questions.clone().filter(|_| !self.auto.is_empty()) {
            Some(questions) => Some((
                AutoAnalyze { severities: self.auto.clone(), questions, priorities: self.priorities.clone() },
                self.queue().await,
            )),
            None => None,
        };
        Ingestion {
            store: self.store().await,
            archive: if self.archive { Some(self.objects().await) } else { None },
            auto,
            enrichment: match self.enrichment_queue_url.as_str() {
                "" => None,
                _ => Some(self.enrichment_queue().await),
            },
            limits: self.limits,
            require_image_name: self.require_image_name,
            lease: self.lease,
        }
    }

    /// Delivers a report at a given second, past HTTP.
    pub async fn deliver(&self, report: &Value, second: i64) -> Result<Ingested, ingest::Error> {
        let body = report.to_string().into_bytes();
        let submission =
            Submission::read(body, Compression::None, Declared::default(), self.limits, self.archive).unwrap();
        let report = submission.report().unwrap();
        let holder = Holder::random().unwrap();
        ingest_report(&self.ingestion().await, &submission, &report, &holder, at(second)).await
    }

    /// Has recovery run at a given time.
    pub async fn recover(&self, now: Timestamp) -> Recovered {
        let deadline = Instant::now() + Duration::from_secs(30);
        run_recovery(&self.recovery().await, "", now, deadline).await.unwrap()
    }

    /// What recovery works with.
    pub async fn recovery(&self) -> Recovery {
        Recovery {
            ingestion: self.ingestion().await,
            objects: self.objects().await,
            queue: self.queue().await,
            retention: self.retention,
        }
    }

    /// The same with a queue, in a deployment where findings are analysed.
    pub async fn with_analysis() -> Self {
        let questions = Questions { model: "m".to_owned(), options: Options::default() };
        Self { queue_url: queue::fresh().await, questions: Some(questions), ..Self::new().await }
    }

    /// The queue, through the proxy.
    pub async fn queue(&self) -> Queue {
        Queue::new(queue::client(&self.proxy.url).await, self.queue_url.clone())
    }

    /// Does what Lambda's poller and `run-analysis` do: works at each message that is in the queue.
    /// Answers how many there were, and the identifiers of those that come back.
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

    /// A store as a new function instance has it: it knows nothing yet.
    pub async fn store(&self) -> Store {
        Store::new(table::client(&self.proxy.url).await, self.table.clone())
    }

    /// A store whose connection is open, as it is once `main` is through.
    pub async fn warm_store(&self) -> Store {
        let store = self.store().await;
        store.warm().await;
        self.proxy.take_calls();
        store
    }

    /// Has the handler of a function answer a request.
    pub async fn invoke(&self, function: &str, request: Request) -> Answer {
        let store = self.warm_store().await;
        let (questions, priorities) = (self.questions.clone(), self.priorities.clone());
        answer(match function {
            "ingest-scan" => {
                let deps = Ingestion { store, ..self.ingestion().await };
                http::serve(request, async |request| ingest_scan::handle(&deps, request).await).await
            }
            "create-upload" => {
                let objects = self.signing_objects().await;
                let deps = create_upload::Deps {
                    store,
                    objects: self.has_bucket().then_some(objects),
                    max_bytes: self.limits.max_bytes,
                };
                http::serve(request, async |request| create_upload::handle(&deps, request).await).await
            }
            "get-upload" => {
                let deps = get_upload::Deps { store, objects: self.bucket().await };
                http::serve(request, async |request| get_upload::handle(&deps, request).await).await
            }
            "get-report" => {
                let deps =
                    get_report::Deps { store, objects: self.has_bucket().then_some(self.signing_objects().await) };
                http::serve(request, async |request| get_report::handle(&deps, request).await).await
            }
            "delete-scan" => {
                let deps = delete_scan::Deps { store, objects: self.bucket().await };
                http::serve(request, async |request| delete_scan::handle(&deps, request).await).await
            }
            "confirm-scan" => {
                let enrichment = match self.enrichment_queue_url.as_str() {
                    "" => None,
                    _ => Some(self.enrichment_queue().await),
                };
                let deps = confirm_scan::Deps { store, enrichment };
                http::serve(request, async |request| confirm_scan::handle(&deps, request).await).await
            }
            "retire-image" => {
                let deps = retire_image::Deps { store };
                http::serve(request, async |request| retire_image::handle(&deps, request).await).await
            }
            "list-scans" => {
                let deps = list_scans::Deps { store };
                http::serve(request, async |request| list_scans::handle(&deps, request).await).await
            }
            "get-scan" => {
                let reader = FindingReader { store, priorities, questions };
                let deps = get_scan::Deps { reader, objects: self.bucket().await };
                http::serve(request, async |request| get_scan::handle(&deps, request).await).await
            }
            "list-findings" => {
                let reader = FindingReader { store, priorities, questions };
                http::serve(request, async |request| list_findings::handle(&reader, request).await).await
            }
            "get-finding" => {
                let reader = FindingReader { store, priorities, questions };
                http::serve(request, async |request| get_finding::handle(&reader, request).await).await
            }
            "get-cve" => {
                let reader = FleetReader { store, priorities, fleet: self.fleet };
                let deps = get_cve::Deps { reader, enriched: self.enriched };
                http::serve(request, async |request| get_cve::handle(&deps, request).await).await
            }
            "list-priorities" => {
                let reader = FleetReader { store, priorities, fleet: self.fleet };
                let deps = list_priorities::Deps { reader, enriched: self.enriched, time: self.fleet_time };
                http::serve(request, async |request| list_priorities::handle(&deps, request).await).await
            }
            "analyze-finding" => {
                let reader = FindingReader { store, priorities, questions };
                let deps = analyze_finding::Deps { reader, queue: self.queue().await };
                http::serve(request, async |request| analyze_finding::handle(&deps, request).await).await
            }
            "analyze-scan" => {
                let reader = FindingReader { store, priorities, questions };
                let deps = analyze_finding::Deps { reader, queue: self.queue().await };
                http::serve(request, async |request| analyze_scan::handle(&deps, request).await).await
            }
            "get-health" => {
                let queue = async |url: &str| match url {
                    "" => None,
                    url => Some(Queue::new(queue::client(&self.proxy.url).await, url)),
                };
                let queues = [
                    ("upload_queue", None),
                    ("analysis_queue", queue(&self.queue_url).await),
                    ("enrichment_queue", queue(&self.enrichment_queue_url).await),
                ];
                let model = questions.map(|questions| questions.model);
                let deps = get_health::Deps { store, objects: self.bucket().await, queues, model, sources: "live" };
                http::serve(request, async |request| get_health::handle(&deps, request).await).await
            }
            "no-route" => http::serve(request, async |request| no_route::handle(request)).await,
            other => panic!("no HTTP handler for {other}"),
        })
    }

    pub async fn post(&self, report: &Value) -> Answer {
        self.post_as(&report.to_string().into_bytes(), "", &[("content-type", "application/json")]).await
    }

    pub async fn post_as(&self, body: &[u8], query: &str, headers: &[(&str, &str)]) -> Answer {
        self.invoke("ingest-scan", event("POST", "/api/container/scans", query, headers, Some(body))).await
    }

    pub async fn get(&self, path_and_query: &str) -> Answer {
        self.get_as(path_and_query, &[]).await
    }

    /// Calls the handler that the routes of template.yaml name.
    pub async fn get_as(&self, path_and_query: &str, headers: &[(&str, &str)]) -> Answer {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let function = match path {
            "/api/container/scans" => "list-scans",
            "/api/container/priorities" => "list-priorities",
            "/api/health" => "get-health",
            _ if path.starts_with("/api/container/cves/") => "get-cve",
            _ if path.starts_with("/api/llm/") => "analyze-finding",
            _ if path.starts_with("/api/container/uploads/") => "get-upload",
            _ if path.starts_with("/api/container/findings/") => "get-finding",
            _ if path.ends_with("/findings") && path.matches('/').count() == 5 => "list-findings",
            _ if path.ends_with("/report") && path.matches('/').count() == 5 => "get-report",
            _ => "get-scan",
        };
        self.invoke(function, event("GET", path, query, headers, None)).await
    }

    /// Opens an upload.
    pub async fn open_upload(&self, order: &Value) -> Answer {
        self.open_upload_with(order.to_string().as_bytes()).await
    }

    /// Sends an order of an upload as it is.
    pub async fn open_upload_with(&self, body: &[u8]) -> Answer {
        let headers = [("content-type", "application/json")];
        self.invoke("create-upload", event("POST", "/api/container/uploads", "", &headers, Some(body))).await
    }

    pub async fn delete(&self, scan: impl std::fmt::Display) -> Answer {
        let path = format!("/api/container/scans/{scan}");
        self.invoke("delete-scan", event("DELETE", &path, "", &[], None)).await
    }

    /// Confirms a scan.
    pub async fn confirm(&self, scan: impl std::fmt::Display) -> Answer {
        let path = format!("/api/container/scans/{scan}/confirm");
        self.invoke("confirm-scan", event("POST", &path, "", &[], None)).await
    }

    /// Retires an image (`retire`), or brings it back (`unretire`).
    pub async fn retire(&self, verb: &str, order: &Value) -> Answer {
        let path = format!("/api/container/images/{verb}");
        let headers = [("content-type", "application/json")];
        self.invoke("retire-image", event("POST", &path, "", &headers, Some(order.to_string().as_bytes()))).await
    }

    /// Has a scan analysed.
    pub async fn analyze_scan(&self, scan_and_query: &str) -> Answer {
        let (scan, query) = scan_and_query.split_once('?').unwrap_or((scan_and_query, ""));
        let path = format!("/api/llm/analyze/container/scans/{scan}");
        self.invoke("analyze-scan", event("POST", &path, query, &[], None)).await
    }

    /// All pages of a list.
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

/// Has `enrich-cves` work at some messages; answers how many come back.
pub async fn enrich_batch(deps: &Enrichment, bodies: &[String]) -> usize {
    let mut context = lambda_http::Context::default();
    context.deadline = u64::MAX / 2;
    let event = LambdaEvent::new(queue::event(bodies.to_vec()), context);
    enrich_cves::handle(deps, event).await.unwrap().batch_item_failures.len()
}

/// A time that tests count from.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A request as API Gateway's HTTP API (payload 2.0) hands it over.
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
        bytes => {
            serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(bytes)))
        }
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
