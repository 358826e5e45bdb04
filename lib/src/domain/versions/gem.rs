//! `Gem::Version`: runs of digits and of letters, where letters come before digits.

use std::cmp::Ordering;

use super::compare_padded;

/// The segments, as `Gem::Version#canonical_segments` has them.
#[derive(Debug, Clone)]
pub(super) struct Version {
    release: Vec<u64>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Letters(String),
    Number(u64),
}

impl Version {
    pub(super) fn read(text: &str) -> Option<Self> {
        // Trivy names the platform too: `1.13.10-x86_64-linux`. To Ruby, `-` alone begins a pre-release.
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
        let numbers = segments.iter().map(|segment| match segment {
            Segment::Number(number) => *number,
            Segment::Letters(_) => 0,
        });
        let release = numbers.collect();
        Self::trim(&mut segments);
        segments.extend(tail);
        Self::trim(&mut segments);
        Some(Self { release, segments })
    }

    fn trim(segments: &mut Vec<Segment>) {
        while segments.last() == Some(&Segment::Number(0)) {
            segments.pop();
        }
    }

    pub(super) fn release(&self) -> &[u64] {
        &self.release
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_padded(&self.segments, &other.segments, &Segment::Number(0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}
