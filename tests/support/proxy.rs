//! A proxy before the emulator that counts calls, makes them fail, and loses answers.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refuses for lack of capacity; nothing is done.
    Throttled,
    /// Fails inside the service; nothing is done.
    InternalError,
    /// Does the call, and breaks the connection before the answer.
    LostResponse,
    /// Breaks the connection before anything is done.
    LostRequest,
    /// Does only the first half of a batch.
    HalfUnprocessed,
    /// Refuses a transaction for a conflict.
    TransactionConflict,
    /// Does the call, and never answers: see [`Proxy::crashed`].
    Crash,
}

#[derive(Debug)]
struct Rule {
    /// An operation, or any.
    operation: Option<&'static str>,
    /// The number of matching calls that pass first.
    skip: usize,
    /// The number of calls after those that fail.
    times: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    calls: Vec<String>,
    written: Vec<Written>,
    count_capacity: bool,
}

/// The writes of a call.
#[derive(Debug, Clone)]
pub struct Written {
    pub operation: String,
    /// The partition keys of its items.
    pub partition_keys: BTreeSet<String>,
    /// Write units, with those of indexes, of the call and not of each key.
    pub units: f64,
}

/// The proxy, which lives as long as the runtime of its test.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The address on which it listens.
    pub url: String,
    state: Arc<Mutex<State>>,
    crashed: Arc<Notify>,
}

impl Proxy {
    /// Starts a proxy before `upstream` without faults.
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
            crashed: Arc::default(),
        };
        let (serving, client) = (proxy.clone(), crate::http_client());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (proxy, client, upstream) = (serving.clone(), client.clone(), upstream.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(|request| proxy.pass(&client, &upstream, request));
                    // An error is the broken connection of a fault.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        proxy
    }

    /// Makes `times` calls of `operation` (of any, if none) fail, after letting `skip` pass.
    pub fn inject(&self, operation: Option<&'static str>, skip: usize, times: usize, fault: Fault) {
        self.state.lock().unwrap().rules.push(Rule { operation, skip, times, fault });
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state.lock().unwrap().rules.clear();
    }

    /// Returns the operations since the last call of this.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// Requests the consumed capacity of each write from now on.
    pub fn count_capacity(&self) {
        self.state.lock().unwrap().count_capacity = true;
    }

    /// Returns the writes since the last call of this, if [`Self::count_capacity`] is on. A refused
    /// one has no units, since the service does not return them.
    pub fn take_written(&self) -> Vec<Written> {
        std::mem::take(&mut self.state.lock().unwrap().written)
    }

    /// Waits for a [`Fault::Crash`].
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    async fn pass(
        &self,
        client: &reqwest::Client,
        upstream: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let target = request.headers().get("x-amz-target").and_then(|t| t.to_str().ok()).unwrap_or_default();
        let operation = match target.rsplit('.').next() {
            Some(operation) if !operation.is_empty() => operation.to_owned(),
            _ => s3_operation(request.method().as_str(), request.uri()),
        };
        let fault = self.next_fault(&operation);
        let (parts, body) = request.into_parts();
        let mut body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        match fault {
            Some(Fault::Throttled) => return Ok(refusal(400, "ProvisionedThroughputExceededException", &json!({}))),
            Some(Fault::InternalError) => return Ok(refusal(500, "InternalServerError", &json!({}))),
            Some(Fault::LostRequest) => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Some(Fault::TransactionConflict) => {
                let reasons = json!({"CancellationReasons": [
                    {"Code": "None"}, {"Code": "None"}, {"Code": "None"}, {"Code": "TransactionConflict"}
                ]});
                return Ok(refusal(400, "TransactionCanceledException", &reasons));
            }
            _ => {}
        }
        let capacity = WRITES.contains(&operation.as_str()) && self.state.lock().unwrap().count_capacity;
        let mut left_over = None;
        if capacity || fault == Some(Fault::HalfUnprocessed) {
            let mut json: Value = serde_json::from_slice(&body).unwrap();
            if capacity {
                json["ReturnConsumedCapacity"] = "TOTAL".into();
            }
            if fault == Some(Fault::HalfUnprocessed) {
                left_over = Some(keep_half(&mut json));
            }
            body = serde_json::to_vec(&json).unwrap().into();
        }
        let partition_keys = capacity.then(|| partition_keys(&body));
        let mut forwarded = client.request(parts.method, format!("{upstream}{}", parts.uri));
        for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "content-length") {
            forwarded = forwarded.header(name, value);
        }
        let answer = forwarded.body(body).send().await.map_err(std::io::Error::other)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = answer.bytes().await.map_err(std::io::Error::other)?;
        if let Some(partition_keys) = partition_keys {
            let json: Value = serde_json::from_slice(&body).unwrap();
            let written = Written { operation, partition_keys, units: units(&json) };
            self.state.lock().unwrap().written.push(written);
        }
        match fault {
            Some(Fault::LostResponse) => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Some(Fault::Crash) => {
                self.crashed.notify_one();
                std::future::pending::<Infallible>().await;
            }
            _ => {}
        }
        if let Some(left_over) = left_over {
            let mut json: Value = serde_json::from_slice(&body).unwrap();
            json["UnprocessedItems"] = left_over;
            body = serde_json::to_vec(&json).unwrap().into();
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        for (name, value) in &headers {
            if !["content-length", "transfer-encoding", "connection", "keep-alive"].contains(&name.as_str()) {
                response.headers_mut().append(name, value.clone());
            }
        }
        Ok(response)
    }

    fn next_fault(&self, operation: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state.calls.push(operation.to_owned());
        let rule =
            state.rules.iter_mut().find(|rule| rule.times > 0 && rule.operation.is_none_or(|o| o == operation))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }
}

/// S3 names its operations by method and address: `GET uploads`, `PUT reports`, `PUT uploads?tagging`.
fn s3_operation(method: &str, uri: &hyper::Uri) -> String {
    let folder = uri.path().trim_start_matches('/').split('/').nth(1).unwrap_or_default();
    let tagging = if uri.query().is_some_and(|query| query.contains("tagging")) { "?tagging" } else { "" };
    format!("{method} {folder}{tagging}")
}

/// Recognises operations that cost write units.
const WRITES: [&str; 5] = ["BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"];

/// Lists the partition keys of a write. Only items and keys have the member `pk`.
fn partition_keys(body: &[u8]) -> BTreeSet<String> {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(value["pk"]["S"].as_str().map(str::to_owned));
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }

    let mut found = BTreeSet::new();
    walk(&serde_json::from_slice(body).unwrap(), &mut found);
    found
}

/// Reads the units of an answer: one entry, or one for each table.
fn units(answer: &Value) -> f64 {
    let consumed = &answer["ConsumedCapacity"];
    let tables = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
    tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum()
}

/// Removes the second half of each table's writes, and returns it.
fn keep_half(request: &mut Value) -> Value {
    let tables = request["RequestItems"].as_object_mut().unwrap();
    let mut left_over = serde_json::Map::new();
    for (table, writes) in tables {
        let writes = writes.as_array_mut().unwrap();
        let second = writes.split_off(writes.len().div_ceil(2));
        if !second.is_empty() {
            left_over.insert(table.clone(), second.into());
        }
    }
    left_over.into()
}

fn refusal(status: u16, code: &str, extra: &Value) -> Response<Full<Bytes>> {
    let mut body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "injected"});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-errortype", code)
        .body(Full::new(serde_json::to_vec(&body).unwrap().into()))
        .unwrap()
}
