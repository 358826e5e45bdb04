//! A proxy before the emulator, on the wire: it counts calls, makes them fail, and loses answers.

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

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused for want of capacity; nothing is done.
    Throttled,
    /// Fails inside the service; nothing is done.
    InternalError,
    /// Done, but the connection breaks before the answer.
    LostResponse,
    /// The connection breaks before anything is done.
    LostRequest,
    /// A batch of which only the first half is done.
    HalfUnprocessed,
    /// A transaction that meets another one.
    TransactionConflict,
    /// Done, and the caller is gone for good before the answer: see [`Proxy::crashed`].
    Crash,
}

#[derive(Debug)]
struct Rule {
    /// An operation, or any.
    operation: Option<&'static str>,
    /// How many calls that match are let through first.
    skip: usize,
    /// How many calls after those are made to fail.
    times: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    calls: Vec<String>,
    /// Write units by partition key.
    written: std::collections::HashMap<String, f64>,
    count_capacity: bool,
}

/// The proxy. It lives as long as the runtime of its test.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub url: String,
    state: Arc<Mutex<State>>,
    crashed: Arc<Notify>,
}

impl Proxy {
    /// A proxy before `upstream` that lets everything through.
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
            crashed: Arc::default(),
        };
        let (serving, client) = (proxy.clone(), reqwest::Client::builder().no_proxy().build().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (proxy, client, upstream) = (serving.clone(), client.clone(), upstream.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(|request| proxy.pass(&client, &upstream, request));
                    // An error is the broken connection that a fault asked for.
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

    /// The operations called since the last time this was asked.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// Has the service say what each batch of writes cost, from now on.
    pub fn count_capacity(&self) {
        self.state.lock().unwrap().count_capacity = true;
    }

    /// Write units so far: all of them, and those of the partition key that took the most.
    pub fn written(&self) -> (f64, f64) {
        let state = self.state.lock().unwrap();
        (state.written.values().sum(), state.written.values().copied().fold(0.0, f64::max))
    }

    /// Waits until a [`Fault::Crash`] has struck.
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
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
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
        let capacity = operation == "BatchWriteItem" && self.state.lock().unwrap().count_capacity;
        let mut left_over = None;
        if capacity || fault == Some(Fault::HalfUnprocessed) {
            let mut json: Value = serde_json::from_slice(&body).unwrap();
            if capacity {
                json["ReturnConsumedCapacity"] = "INDEXES".into();
            }
            if fault == Some(Fault::HalfUnprocessed) {
                left_over = Some(keep_half(&mut json));
            }
            body = serde_json::to_vec(&json).unwrap().into();
        }
        let keys = capacity.then(|| partition_keys(&body));
        let mut forwarded = client.request(parts.method, format!("{upstream}{}", parts.uri));
        for (name, value) in
            parts.headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        {
            forwarded = forwarded.header(name, value);
        }
        let answer = forwarded.body(body).send().await.map_err(std::io::Error::other)?;
        let status = answer.status();
        let mut body = answer.bytes().await.map_err(std::io::Error::other)?;
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
        if let Some(keys) = keys {
            let json: Value = serde_json::from_slice(&body).unwrap();
            self.count(&keys, &json);
        }
        Ok(Response::builder()
            .status(status)
            .header("content-type", "application/x-amz-json-1.0")
            .body(Full::new(body))
            .unwrap())
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

    /// Books the units of a batch on the partition keys of its items, evenly.
    fn count(&self, keys: &[String], answer: &Value) {
        let units: f64 = answer["ConsumedCapacity"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|capacity| {
                capacity["CapacityUnits"].as_f64().or_else(|| capacity["WriteCapacityUnits"].as_f64())
            })
            .sum();
        let mut state = self.state.lock().unwrap();
        for key in keys {
            *state.written.entry(key.clone()).or_default() += units / keys.len() as f64;
        }
    }
}

fn partition_keys(body: &[u8]) -> Vec<String> {
    let json: Value = serde_json::from_slice(body).unwrap();
    let tables = json["RequestItems"].as_object().unwrap();
    tables
        .values()
        .flat_map(|writes| writes.as_array().unwrap())
        .map(|write| write["PutRequest"]["Item"]["pk"]["S"].as_str().unwrap().to_owned())
        .collect()
}

/// Takes the second half of every table's writes out, and answers it.
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
