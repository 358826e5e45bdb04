//! The compiled functions behind the routes of template.yaml, as the local stack runs them.

use serde_json::Value;

use crate::app::Answer;

/// The deployed API.
#[derive(Debug)]
pub struct Deployed {
    /// Its base URL, without a trailing slash.
    pub url: String,
    client: reqwest::Client,
}

impl Deployed {
    /// The API of the stack that this process was started in.
    pub fn new() -> Self {
        let url = std::env::var("SIRIUS_API_URL")
            .unwrap_or_else(|_| panic!("no local stack in the environment: run this through `make test`"));
        Self { url: url.trim_end_matches('/').to_owned(), client: crate::http_client() }
    }

    pub async fn post(&self, query: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = self.client.post(format!("{}/api/container/scans{query}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    pub async fn post_json(&self, report: &Value) -> Answer {
        self.post("", &[("content-type", "application/json")], report.to_string().into_bytes()).await
    }

    pub async fn get(&self, path_and_query: &str) -> Answer {
        answer(self.client.get(format!("{}{path_and_query}", self.url))).await
    }

    pub async fn get_with(&self, path_and_query: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("{}{path_and_query}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }
}

impl Default for Deployed {
    fn default() -> Self {
        Self::new()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut bytes = response.bytes().await.unwrap().to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        bytes = crate::app::gunzip(&bytes);
    }
    let json = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| panic!("{status} and not JSON: {:?}", String::from_utf8_lossy(&bytes)));
    Answer { status, headers, json }
}
