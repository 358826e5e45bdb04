//! Calls the compiled functions behind the routes of template.yaml on the local stack.

use reqwest::Method;
use serde_json::Value;
use sirius::http::routes;

use crate::app::Answer;
use crate::identity::Identity;

/// The deployed API and a caller.
#[derive(Debug)]
pub struct Deployed {
    /// The base URL, without a trailing slash.
    pub url: String,
    caller: Caller,
    client: reqwest::Client,
}

#[derive(Debug)]
enum Caller {
    /// An identity that may call every route.
    Entitled,
    Named(Identity),
    Nobody,
}

impl Deployed {
    /// Uses the stack of the environment, with an identity that may call every route.
    pub fn new() -> Self {
        Self::called_by(Caller::Entitled)
    }

    /// Uses it without a signature.
    pub fn unsigned() -> Self {
        Self::called_by(Caller::Nobody)
    }

    /// Uses it with an identity.
    pub fn signed_by(identity: Identity) -> Self {
        Self::called_by(Caller::Named(identity))
    }

    fn called_by(caller: Caller) -> Self {
        let url = std::env::var("SIRIUS_API_URL")
            .unwrap_or_else(|_| panic!("no local stack in the environment: run this through `make test`"));
        Self { url: url.trim_end_matches('/').to_owned(), caller, client: crate::http_client() }
    }

    pub async fn post(&self, query: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.send(Method::POST, &format!("{}{query}", routes::INGEST_SCAN.path), headers, Some(body)).await
    }

    pub async fn post_json(&self, report: &Value) -> Answer {
        self.post("", &[("content-type", "application/json")], report.to_string().into_bytes()).await
    }

    pub async fn get(&self, path_and_query: &str) -> Answer {
        self.get_with(path_and_query, &[]).await
    }

    pub async fn get_with(&self, path_and_query: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path_and_query, headers, None).await
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path_and_query}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut request = request.build().unwrap();
        match &self.caller {
            Caller::Entitled => Identity::caller().await.sign("execute-api", &mut request),
            Caller::Named(identity) => identity.sign("execute-api", &mut request),
            Caller::Nobody => {}
        }
        answer(self.client.execute(request).await.unwrap()).await
    }
}

impl Default for Deployed {
    fn default() -> Self {
        Self::new()
    }
}

async fn answer(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut bytes = response.bytes().await.unwrap().to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        bytes = crate::app::gunzip(&bytes);
    }
    let json = match bytes.as_slice() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes)
            .unwrap_or_else(|_| panic!("{status} and not JSON: {:?}", String::from_utf8_lossy(bytes))),
    };
    Answer { status, headers, json }
}
