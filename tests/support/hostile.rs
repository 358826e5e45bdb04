//! Documents that are made to take memory, and a measurement of what reading one takes.
//!
//! Measured in a process of its own, since a peak never goes down again: Linux's `VmHWM` when the document has been
//! read or refused, less what the process had before. Each is sent as gzip, so that the body itself counts little if
//! the document repeats itself.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sirius::domain::declared::Declared;
use sirius::report::body::Compression;
use sirius::report::{Limits, Submission};

use crate::app::gzip;
use crate::unique;

/// Names the file that the measured process reads.
const FILE: &str = "SIRIUS_HOSTILE_DOCUMENT";

/// A kind of document, and the function that makes one of about a number of bytes.
pub type Kind = (&'static str, fn(usize) -> Vec<u8>);

/// The most memory of reading a document, as a multiple of its size.
pub const REACH: f64 = 4.0;

/// Runs `command`, whose process calls [`tell_peak`], over a document. Returns the peak of reading in bytes; none
/// if the process does not print it.
pub fn peak(command: &mut Command, json: &[u8]) -> Option<u64> {
    let file = std::env::temp_dir().join(unique("hostile"));
    std::fs::write(&file, gzip(json)).unwrap();
    let output = command.env(FILE, &file).stderr(Stdio::inherit()).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "the measured process failed: {}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|line| line.split_once("peak=")?.1.trim().parse().ok())
}

/// Reads, in the measured process, the document as a function does, and prints the peak. Prints that there is none,
/// if there is no document.
pub fn tell_peak() -> bool {
    let Some(file) = std::env::var_os(FILE) else { return false };
    let Some(before) = status("VmRSS:") else { return true };
    let body = std::fs::read(file).unwrap();
    let declared = Declared { image_name: Some("hostile:1".parse().unwrap()), ..Declared::default() };
    match Submission::read(body, Compression::Gzip, declared, Limits::default(), true) {
        Ok(submission) => match submission.report() {
            Ok(report) => eprintln!("  taken, with {} findings", report.findings.len()),
            Err(error) => eprintln!("  refused: {:.150}", error.to_string()),
        },
        Err(error) => eprintln!("  refused: {:.150}", error.to_string()),
    }
    let peak = status("VmHWM:").unwrap().saturating_sub(before);
    // `cargo test` hides what the print macros write in a test that passes.
    std::io::stdout().write_all(format!("\npeak={peak}\n").as_bytes()).unwrap();
    true
}

/// Reads a line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Joins `head`, as many pieces as fit with commas between them, and `tail`.
fn filled(size: usize, head: &str, tail: &str, mut piece: impl FnMut(usize) -> String) -> Vec<u8> {
    let mut json = head.as_bytes().to_vec();
    for number in 0.. {
        let piece = piece(number);
        if piece.is_empty() || json.len() + piece.len() + tail.len() + 1 > size {
            break;
        }
        if number > 0 {
            json.push(b',');
        }
        json.extend_from_slice(piece.as_bytes());
    }
    json.extend_from_slice(tail.as_bytes());
    json
}

/// Makes a report with more members after its name.
fn report(size: usize, head: &str, tail: &str, piece: impl FnMut(usize) -> String) -> Vec<u8> {
    filled(size, &format!(r#"{{"SchemaVersion":2,"ArtifactName":"a","ArtifactType":"vm",{head}"#), tail, piece)
}

/// Makes a string of about that size that begins with `first`.
fn text(size: usize, first: &str, with: &str) -> String {
    format!("\"{first}{}\"", with.repeat(size.saturating_sub(200) / with.len()))
}

/// Makes letters that do not compress.
fn noise(size: usize) -> String {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.alphanumeric()).take(size.saturating_sub(200)).collect()
}

/// The kinds of documents.
pub fn kinds() -> Vec<Kind> {
    vec![
        ("an array of numbers", |n| filled(n, "[", "]", |_| "0".into())),
        ("an array of empty arrays", |n| filled(n, "[", "]", |_| "[]".into())),
        ("an array of empty objects", |n| filled(n, "[", "]", |_| "{}".into())),
        ("an array of empty strings", |n| filled(n, "[", "]", |_| "\"\"".into())),
        ("an array of targets", |n| filled(n, "[", "]", |_| r#"{"Target":""}"#.into())),
        ("an array of targets and a number", |n| filled(n, "[", ",0]", |_| r#"{"Target":""}"#.into())),
        ("short keys", |n| filled(n, "{", "}", |at| format!("\"{at:x}\":0"))),
        ("short keys in a report", |n| report(n, "\"Metadata\":{", "}}", |at| format!("\"{at:x}\":0"))),
        ("one key again and again", |n| filled(n, "{", "}", |_| "\"a\":0".into())),
        ("objects of one member", |n| report(n, "\"x\":[", "]}", |_| r#"{"a":0}"#.into())),
        ("objects of many members", |n| {
            let members: Vec<String> = (0..40_000).map(|at| format!("\"{at:x}\":0")).collect();
            report(n, "\"x\":[", "]}", |_| format!("{{{}}}", members.join(",")))
        }),
        ("members in the wrong order", |n| report(n, "\"x\":[", "]}", |_| r#"{"c":0,"b":1,"a":2}"#.into())),
        ("large members in the wrong order", |n| {
            let large = "x".repeat(n / 3);
            report(n, &format!("\"z\":{{\"c\":\"{large}\",\"a\":\"{large}\"}},\"b\":["), "]}", |_| "0".into())
        }),
        ("large noise in the wrong order", |n| {
            let noise = noise(n);
            let (a, b) = noise.split_at(noise.len() / 2);
            report(n, &format!("\"z\":{{\"c\":\"{a}\",\"a\":\"{b}\"}}"), "}", |_| String::new())
        }),
        ("objects inside objects", |n| {
            let (open, close) = ("{\"a\":".repeat(100), "}".repeat(100));
            report(n, "\"x\":[", "]}", |_| format!("{open}0{close}"))
        }),
        ("arrays without an end", |n| "[".repeat(n).into()),
        ("the keys of a layer", |n| report(n, "\"x\":[", "]}", |_| r#"{"Layer":{"Digest":0}}"#.into())),
        ("one string", |n| report(n, &format!("\"x\":{}", text(n, "", "a")), "}", |_| String::new())),
        ("one string with an escape", |n| report(n, &format!("\"x\":{}", text(n, "\\n", "a")), "}", |_| String::new())),
        ("one string of escapes", |n| report(n, &format!("\"x\":{}", text(n, "", "\\\"")), "}", |_| String::new())),
        ("one string of long escapes", |n| {
            report(n, &format!("\"x\":{}", text(n, "", "\\u0001")), "}", |_| String::new())
        }),
        ("half surrogate pairs", |n| report(n, &format!("\"x\":{}", text(n, "", "\\ud800")), "}", |_| String::new())),
        ("one string of noise with an escape", |n| {
            report(n, &format!("\"x\":\"\\n{}\"", noise(n)), "}", |_| String::new())
        }),
        ("one key", |n| filled(n, &format!("{{{}:0", text(n, "", "k")), "}", |_| String::new())),
        ("one key with an escape", |n| filled(n, &format!("{{{}:0", text(n, "\\n", "k")), "}", |_| String::new())),
        ("a name with an escape", |n| {
            filled(n, &format!("{{\"SchemaVersion\":2,\"ArtifactName\":{}", text(n, "\\n", "a")), "}", |_| {
                String::new()
            })
        }),
        ("a long image id", |n| {
            report(n, &format!("\"Metadata\":{{\"ImageID\":{}", text(n, "\\n", "a")), "}}", |_| String::new())
        }),
        ("a text for true or false", |n| {
            report(n, &format!("\"Metadata\":{{\"OS\":{{\"EOSL\":{}", text(n, "\\n", "a")), "}}}", |_| String::new())
        }),
        ("a text for an object", |n| {
            report(n, &format!("\"Metadata\":{}", text(n, "\\n", "a")), "}", |_| String::new())
        }),
        ("a version of numbers", |n| filled(n, "{\"SchemaVersion\":[", "]}", |_| "0".into())),
        ("a time of numbers", |n| report(n, "\"CreatedAt\":[", "]}", |_| "0".into())),
        ("a long time", |n| {
            report(n, &format!("\"CreatedAt\":{}", text(n, "2026-11-20T10:00:00.", "0")), "}", |_| String::new())
        }),
        ("one number", |n| format!("[{}]", "1".repeat(n - 2)).into()),
        ("one fraction", |n| format!("[0.{}]", "1".repeat(n - 4)).into()),
        ("fractions", |n| filled(n, "[", "]", |_| "0.1234567890123456789".into())),
        ("exponents", |n| filled(n, "[", "]", |_| "1e15".into())),
        ("exponents in a report", |n| report(n, "\"x\":[", "]}", |_| "1e9".into())),
        ("tags", |n| report(n, "\"Metadata\":{\"RepoTags\":[", "]}}", |_| "\"\"".into())),
        ("digests", |n| report(n, "\"Metadata\":{\"RepoDigests\":[", "]}}", |_| "\"\"".into())),
        ("layers", |n| report(n, "\"Metadata\":{\"Layers\":[", "]}}", |_| "{}".into())),
        ("the configuration of an image", |n| {
            report(n, &format!("\"Metadata\":{{\"ImageConfig\":{{\"os\":{}", text(n, "\\n", "a")), "}}}", |_| {
                String::new()
            })
        }),
        ("results that are numbers", |n| report(n, "\"Results\":[", "]}", |_| "0".into())),
        ("empty results", |n| report(n, "\"Results\":[", "]}", |_| r#"{"Target":""}"#.into())),
        ("results of one finding", |n| {
            report(n, "\"Results\":[", "]}", |at| format!(r#"{{"Target":"{at}","Vulnerabilities":[{{}}]}}"#))
        }),
        ("large results in the wrong order", |n| {
            let large = "x".repeat(n / 4);
            report(
                n,
                &format!(
                    r#""Results":[{{"Target":"c","x":"{large}"}},{{"Target":"b","x":"{large}"}},{{"Target":"a","x":"{large}"}}],"z":["#
                ),
                "]}",
                |_| "0".into(),
            )
        }),
        ("empty findings", |n| {
            report(n, "\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[", "]}]}", |_| "{}".into())
        }),
        ("findings of empty strings", |n| {
            let finding = format!(
                r#"{{"FixedVersion":"","InstalledVersion":"","PkgName":"","PkgPath":"","Severity":"","VulnerabilityID":"","x":"{}"}}"#,
                "x".repeat(n / 49_000)
            );
            report(n, "\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[", "]}]}", |_| finding.clone())
        }),
        ("findings of many members", |n| {
            let members: Vec<String> = (0..20_000).map(|at| format!("\"{at:x}\":0")).collect();
            let finding = format!("{{{}}}", members.join(","));
            report(n, "\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[", "]}]}", |_| finding.clone())
        }),
        ("findings of escapes", |n| {
            let escapes = "\\\"".repeat(500);
            report(n, "\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[", "]}]}", |at| {
                format!(r#"{{"PkgName":"{escapes}{at}","VulnerabilityID":"{escapes}"}}"#)
            })
        }),
        ("suppressed findings", |n| {
            report(n, "\"Results\":[{\"Target\":\"t\",\"ExperimentalModifiedFindings\":[", "]}]}", |at| {
                format!(r#"{{"Type":"vulnerability","Finding":{{"PkgName":"{at}"}}}}"#)
            })
        }),
        ("other modified findings", |n| {
            report(n, "\"Results\":[{\"Target\":\"t\",\"ExperimentalModifiedFindings\":[", "]}]}", |_| "{}".into())
        }),
        ("secrets", |n| report(n, "\"Results\":[{\"Target\":\"t\",\"Secrets\":[", "]}]}", |_| "0".into())),
        ("misconfigurations", |n| {
            report(n, "\"Results\":[{\"Target\":\"t\",\"Misconfigurations\":[", "]}]}", |_| "{}".into())
        }),
        ("licences", |n| report(n, "\"Results\":[{\"Target\":\"t\",\"Licenses\":[", "]}]}", |at| at.to_string())),
        ("packages", |n| report(n, "\"Results\":[{\"Target\":\"t\",\"Packages\":[", "]}]}", |_| r#"{"ID":""}"#.into())),
        ("a list of Kubernetes objects", |n| filled(n, "{\"items\":[", "]}", |_| r#"{"kind":""}"#.into())),
        ("another tool's matches", |n| filled(n, "{\"matches\":[", "]}", |_| "{}".into())),
        ("UTF-16", |n| {
            let json = String::from_utf8(report(n / 2 - 1, "\"x\":[", "]}", |_| "\"\"".into())).unwrap();
            format!("\u{FEFF}{json}").encode_utf16().flat_map(u16::to_le_bytes).collect()
        }),
        ("something after the end", |n| [report(n - 2, "\"x\":[", "]}", |_| "0".into()), b"\n{".to_vec()].concat()),
        ("a last byte that is not UTF-8", |n| {
            [report(n - 2, "\"x\":[", "]}", |_| "0".into()), b"\xFF".to_vec()].concat()
        }),
    ]
}
