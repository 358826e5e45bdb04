//! dpkg's versions: `verrevcmp` of `lib/dpkg/version.c`, as keys that are compared part by part.

/// `epoch:upstream-revision`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    epoch: u32,
    upstream: Vec<Part>,
    revision: Vec<Part>,
}

/// A run of characters other than digits, as their [`rank`]s and a final 0, and the number that follows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    other: Vec<i32>,
    number: Number,
}

/// Digits without leading zeros: the longer one is larger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Number(usize, String);

impl Version {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-:~".contains(&byte);
        let is_version = upstream.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(allowed);
        is_version
            .then(|| Some(Self { epoch: epoch.parse().ok()?, upstream: parts(upstream), revision: parts(revision) }))?
    }
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (other, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        let digits = digits.trim_start_matches('0');
        let other = other.bytes().map(rank).chain([0]).collect();
        parts.push(Part { other, number: Number(digits.len(), digits.to_owned()) });
        rest = after;
    }
    // The end compares like empty parts without end. One suffices: only a part with a tilde is less than it.
    let end = Part { other: vec![0], number: Number(0, String::new()) };
    while parts.last() == Some(&end) {
        parts.pop();
    }
    parts.push(end);
    parts
}

/// Orders `~` before the end, letters after it, and all other characters after letters.
fn rank(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        letter if letter.is_ascii_alphabetic() => i32::from(letter),
        other => i32::from(other) + 256,
    }
}
