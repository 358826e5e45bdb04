//! A stand-in for Ollama: an HTTP/1.1 server on 127.0.0.1 with the replies of a test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use sirius::llm::{Ollama, OllamaConfig};

/// The reply to one request.
#[derive(Clone)]
pub struct Reply {
    /// Pieces of the raw answer, with its head, one write each.
    pub pieces: Vec<Vec<u8>>,
    /// Whether the connection stays open afterwards.
    pub hang: bool,
}

impl Reply {
    /// Replies with a status and a body.
    pub fn status(status: &str, headers: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
        Self { pieces: vec![format!("{head}{body}").into_bytes()], hang: false }
    }

    /// Replies with a 200 stream of pieces, ended by closing.
    pub fn stream(pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
        let pieces = std::iter::once(head.as_bytes().to_vec()).chain(pieces.into_iter().map(Into::into));
        Self { pieces: pieces.collect(), hang: false }
    }

    /// Replies with a whole answer, streamed token by token.
    pub fn answer(text: &str) -> Self {
        Self::stream(answer_lines(text, "stop", Some(900)))
    }

    /// Replies with an answer that fits every finding of [`crate::report::vulnerability`].
    pub fn good() -> Self {
        Self::answer(
            "## Summary\nThe length of an input is not checked.\n\n## Recommendations\n- Limit who can reach the service.\n\n## Risk Score\n9/10",
        )
    }

    /// Keeps the connection open after the answer.
    pub fn then_hang(mut self) -> Self {
        self.hang = true;
        self
    }
}

/// Builds the lines of an answer, without `prompt_tokens` if it is none.
pub fn answer_lines(text: &str, done_reason: &str, prompt_tokens: Option<u64>) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> = chars
        .chunks(7)
        .map(|piece| {
            line(json!({"message": {"role": "assistant", "content": piece.iter().collect::<String>()}, "done": false}))
        })
        .collect();
    let mut last = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": done_reason,
        "total_duration": 5, "eval_count": 7});
    if let Some(tokens) = prompt_tokens {
        last["prompt_eval_count"] = tokens.into();
    }
    lines.push(line(last));
    lines
}

pub fn line(mut value: Value) -> String {
    value["model"] = "m".into();
    format!("{value}\n")
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and headers.
    pub head: String,
    /// The JSON body.
    pub body: Value,
}

/// The running server, which ends with the test.
pub struct StandIn {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StandIn {
    /// Starts a server that computes each reply from the request and its number, from 0.
    pub async fn start(reply: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let reply = Arc::new(reply);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&reply), Arc::clone(&log)));
            }
        });
        Self { url, seen, task }
    }

    /// Starts a server with one reply to every request.
    pub async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    /// Returns the requests up to now.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Creates a client with time-outs for tests; a passing test waits for none of them.
    pub fn config(&self) -> OllamaConfig {
        OllamaConfig {
            connect_timeout: Duration::from_secs(5),
            first_token_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(20),
            ..OllamaConfig::new(self.url.parse().unwrap())
        }
    }

    pub fn client(&self) -> Ollama {
        Ollama::new(self.config()).unwrap()
    }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn serve(mut socket: TcpStream, reply: Arc<impl Fn(&Seen, usize) -> Reply>, log: Arc<Mutex<Vec<Seen>>>) {
    let Some(seen) = read_request(&mut socket).await else {
        return;
    };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    let reply = reply(&seen, number);
    for piece in reply.pieces {
        if socket.write_all(&piece).await.is_err() || socket.flush().await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    if reply.hang {
        // Until the client closes the connection.
        let _ = socket.read(&mut [0; 1]).await;
    } else {
        let _ = socket.shutdown().await;
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = socket.read(&mut buffer).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length: usize = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap()))
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or(Value::Null);
            return Some(Seen { head, body });
        }
    }
}
