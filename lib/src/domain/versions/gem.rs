//! `Gem::Version`: runs of digits and of letters; letters sort before digits.

use super::{Padded, Parts};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Letters(String),
    Number(u64),
}

impl Default for Segment {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// Reads the segments of `Gem::Version#canonical_segments`, and the release.
pub(super) fn parts(text: &str) -> Option<Parts> {
    // Trivy appends the platform: `1.13.10-x86_64-linux`. Otherwise `-` begins a pre-release.
    let known = ["-x86_64", "-x86", "-aarch64", "-arm", "-java", "-universal", "-x64"];
    let end = known.iter().filter_map(|platform| text.find(platform)).min().unwrap_or(text.len());
    let text = text.get(..end)?.replace('-', ".pre.");
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut segments = Vec::new();
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        for run in part.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
            let run = std::str::from_utf8(run).ok()?;
            segments.push(match run.starts_with(|c: char| c.is_ascii_digit()) {
                true => Segment::Number(run.parse().ok()?),
                false => Segment::Letters(run.to_owned()),
            });
        }
    }
    let first = segments.iter().position(|segment| matches!(segment, Segment::Letters(_)));
    let tail = segments.split_off(first.unwrap_or(segments.len()));
    let release = segments.iter().filter_map(|segment| match segment {
        Segment::Number(number) => Some(*number),
        Segment::Letters(_) => None,
    });
    let release = Padded(release.collect());
    trim(&mut segments);
    segments.extend(tail);
    trim(&mut segments);
    Some(Parts::Gem(Padded(segments), release))
}

fn trim(segments: &mut Vec<Segment>) {
    while segments.last() == Some(&Segment::Number(0)) {
        segments.pop();
    }
}
