//! Measures the time from the start of a process to its first request for work.
//!
//! Lambda ends the init phase when the process first calls `GET /2018-06-01/runtime/invocation/next`.
//! This does the same: a server on 127.0.0.1 plays the runtime API and DynamoDB, and records that call.
//! Each round starts every binary once, and two that only greet: `hello-bare` (benches/hello-bare: the least
//! that answers), with which the goal compares, and `hello-world` (benches/hello-world: that of `lambda_http`'s README). A
//! ratio is of two starts of the same round. The binaries are those of `make package` for this machine.
//!
//! Every function reads the table once before it asks for work, so that the first request finds an open
//! connection. The read is no part of starting: without it the first request would make it, on less CPU than
//! Lambda gives to a start. So each function has two figures, without that read and with it. The table answers
//! at once, over plain HTTP: no TLS handshake, no network. Included are the loader, the settings, the clients with
//! their trust store; not included is what Lambda does before the process starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use crate::figure::{Figure, median, spread};
use crate::input::Files;

const BARE: &str = "hello-bare";
const WORLD: &str = "hello-world";
const REACH: f64 = 1.5;
/// The first starts, which fill the page cache and are not counted.
const ROUNDS: usize = 43;
const WARM_UP: usize = 3;

pub(crate) fn figures() -> Vec<Figure> {
    let folder = release();
    let (built, missing): (Vec<_>, Vec<_>) = functions().into_iter().partition(|f| folder.join(&f.name).is_file());
    let silent: Vec<_> = [BARE, WORLD].into_iter().filter(|hello| !folder.join(hello).is_file()).collect();
    let mut figures = Vec::new();
    if silent.is_empty() && !built.is_empty() {
        eprintln!("measuring cold starts: {} functions, {ROUNDS} times", built.len());
        let starts = measure(&folder, &built);
        let (bare, world) = (&starts[&(BARE, First::Read)], &starts[&(WORLD, First::Read)]);
        figures.push(Figure::shown(format!("cold start of {BARE}"), told(bare)));
        figures.push(Figure::shown(format!("cold start of {WORLD}"), told(world)));
        for function in &built {
            for (first, what) in [(First::Fails, "without its first read"), (First::Read, "and first read")] {
                let own = &starts[&(function.name.as_str(), first)];
                let beside = median(&ratios(own, world));
                let name = format!("cold start of {} {what}: {}; {beside:.2} x {WORLD}", function.name, told(own));
                figures.push(if function.http {
                    Figure::timed(name, &ratios(own, bare), REACH)
                } else {
                    Figure::shown(name, spread(&ratios(own, bare)))
                });
            }
        }
    }
    figures.extend(silent.iter().map(|hello| {
        let why = format!("no {}: `cargo build --release --package {hello}`", folder.join(hello).display());
        Figure::skipped(format!("cold start of {hello}, and of all others beside it"), &why)
    }));
    figures.extend(missing.iter().map(|function| {
        let why = format!("no {}: `make package` builds it", folder.join(&function.name).display());
        Figure::skipped(format!("cold start of {}", function.name), &why)
    }));
    figures
}

fn ratios(own: &[Start], hello: &[Start]) -> Vec<f64> {
    own.iter().zip(hello).map(|(own, hello)| own.wall / hello.wall).collect()
}

/// The treatment of the read that a function makes while it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum First {
    /// The table answers.
    Read,
    /// It fails before anything is sent, since the endpoint is no URL.
    Fails,
}

/// A function of the workspace.
struct Function {
    name: String,
    /// Whether it answers API Gateway.
    http: bool,
}

fn functions() -> Vec<Function> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut functions: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            Function { name, http: manifest.contains("lambda_http") }
        })
        .collect();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    functions
}

/// Finds the folder of release binaries: this program is in `deps` below it.
fn release() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// One start, in milliseconds and bytes.
struct Start {
    /// The time to the first request for work.
    wall: f64,
    /// The time to the first call of the table; as `wall` without one.
    asked: f64,
    /// CPU of all threads until a moment after the first request for work.
    cpu: Option<f64>,
    /// Peak memory until then.
    memory: Option<f64>,
}

/// The medians of the starts of one binary.
fn told(starts: &[Start]) -> String {
    let middle = |of: fn(&Start) -> f64| median(&starts.iter().map(of).collect::<Vec<_>>());
    let wall = middle(|start| start.wall);
    let linux = |of: fn(&Start) -> Option<f64>| {
        starts.iter().all(|s| of(s).is_some()).then(|| median(&starts.iter().filter_map(of).collect::<Vec<_>>()))
    };
    let mut text = format!("{wall:.2} ms");
    let asked = middle(|start| start.asked);
    if asked < wall {
        text += &format!(" ({asked:.2} until its first call)");
    }
    if let Some(cpu) = linux(|start| start.cpu) {
        text += &format!(", CPU {cpu:.2} ms");
    }
    if let Some(memory) = linux(|start| start.memory) {
        text += &format!(", {:.1} MB", memory / 1e6);
    }
    text
}

fn measure<'f>(folder: &Path, functions: &'f [Function]) -> BTreeMap<(&'f str, First), Vec<Start>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (told, calls) = mpsc::channel();
    std::thread::spawn(move || accept(&listener, &told));

    let own = functions.iter().flat_map(|f| [(f.name.as_str(), First::Fails), (f.name.as_str(), First::Read)]);
    let kinds: Vec<(&str, First)> = [(BARE, First::Read), (WORLD, First::Read)].into_iter().chain(own).collect();
    let (_files, binaries) = unpacked(folder, kinds.iter().map(|&(name, _)| name).collect());
    let mut starts: BTreeMap<_, Vec<Start>> = BTreeMap::new();
    for round in 0..ROUNDS {
        for &(name, first) in &kinds {
            let start = start(&binaries[name], address, first, &calls);
            if round >= WARM_UP {
                starts.entry((name, first)).or_default().push(start);
            }
        }
    }
    starts
}

/// Copies the binaries from front to back, as an unpacked zip is written. A linker writes through a map of the
/// file, which leaves small pieces in the page cache that take longer to map.
fn unpacked<'n>(folder: &Path, names: BTreeSet<&'n str>) -> (Files, BTreeMap<&'n str, PathBuf>) {
    let contents: Vec<_> = names.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    let files = Files::new(&contents);
    let paths: BTreeMap<_, _> =
        names.into_iter().enumerate().map(|(number, name)| (name, files.path(number))).collect();
    for path in paths.values() {
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    (files, paths)
}

fn start(binary: &Path, address: SocketAddr, first: First, calls: &Receiver<(Call, Instant)>) -> Start {
    let mut command = Command::new(binary);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.envs(environment(address));
    if first == First::Fails {
        command.env("AWS_ENDPOINT_URL", "no URL");
    }
    let begin = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut asked = None;
    let ready = loop {
        match calls.recv_timeout(Duration::from_secs(10)) {
            Ok((Call::Table, at)) => asked = asked.or(Some(at)),
            Ok((Call::Next, at)) => break at,
            Err(_) => panic!("{} did not ask for work within 10 s", binary.display()),
        }
    };
    let (cpu, memory) = (cpu(child.id()), peak(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    let millis = |at: Instant| (at - begin).as_secs_f64() * 1e3;
    Start { wall: millis(ready), asked: millis(asked.unwrap_or(ready)), cpu, memory }
}

/// Sets the environment of Lambda and template.yaml.
fn environment(address: SocketAddr) -> [(&'static str, String); 20] {
    let text = str::to_owned;
    [
        ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", text("function")),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", text("512")),
        ("AWS_LAMBDA_FUNCTION_VERSION", text("$LATEST")),
        ("AWS_LAMBDA_LOG_GROUP_NAME", text("group")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", text("stream")),
        ("AWS_LAMBDA_LOG_FORMAT", text("JSON")),
        ("AWS_LAMBDA_LOG_LEVEL", text("INFO")),
        ("AWS_REGION", text("eu-central-1")),
        ("AWS_ACCESS_KEY_ID", text("AKIAIOSFODNN7EXAMPLE")),
        ("AWS_SECRET_ACCESS_KEY", text("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")),
        ("AWS_SESSION_TOKEN", "x".repeat(800)),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("TABLE_NAME", text("table")),
        ("BUCKET_NAME", text("bucket")),
        ("SERVICE_NAME", text("sirius")),
        ("ANALYSIS_QUEUE_URL", format!("http://{address}/queue")),
        ("ENRICHMENT_QUEUE_URL", format!("http://{address}/queue")),
        ("OLLAMA_MODEL", text("model")),
        ("OLLAMA_URL", format!("http://{address}")),
    ]
}

/// A call of the starting process.
enum Call {
    /// The first read of the table.
    Table,
    /// The request for work.
    Next,
}

fn accept(listener: &TcpListener, told: &Sender<(Call, Instant)>) {
    for stream in listener.incoming() {
        let (mut stream, told) = (stream.unwrap(), told.clone());
        stream.set_nodelay(true).unwrap();
        // A connection ends with its process, which is killed once it has asked for work.
        std::thread::spawn(move || while answer(&mut stream, &told).is_some() {});
    }
}

/// Answers one request, unless it is for work.
fn answer(stream: &mut TcpStream, told: &Sender<(Call, Instant)>) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|&count| count > 0)?;
        let at = Instant::now();
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if head.starts_with("GET /2018-06-01/runtime/invocation/next ") {
            told.send((Call::Next, at)).ok()?;
            request.clear();
            continue;
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            told.send((Call::Table, at)).ok()?;
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";
            return stream.write_all(answer.as_bytes()).ok();
        }
    }
}

/// Reads the CPU of all threads of a process, in milliseconds.
fn cpu(process: u32) -> Option<f64> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let schedstat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += schedstat.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e6)
}

/// Reads the peak memory of a process, in bytes.
fn peak(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}
