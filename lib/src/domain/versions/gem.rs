//! `Gem::Version`: runs of digits and of letters; letters sort before digits.

use super::Padded;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// As `Gem::Version#canonical_segments` has them. They alone decide: equal segments have equal releases.
    segments: Padded<Segment>,
    release: Padded<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Letters(String),
    Number(u64),
}

impl Default for Segment {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Version {
    pub(super) fn read(text: &str) -> Option<Self> {
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
        let numbers = segments.iter().map(|segment| match segment {
            Segment::Number(number) => *number,
            Segment::Letters(_) => 0,
        });
        let release = Padded(numbers.collect());
        Self::trim(&mut segments);
        segments.extend(tail);
        Self::trim(&mut segments);
        Some(Self { segments: Padded(segments), release })
    }

    fn trim(segments: &mut Vec<Segment>) {
        while segments.last() == Some(&Segment::Number(0)) {
            segments.pop();
        }
    }

    pub(super) fn release(&self) -> &[u64] {
        &self.release.0
    }
}
