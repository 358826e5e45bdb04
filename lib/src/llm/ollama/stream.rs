//! Collects the NDJSON stream of `/api/chat` into an answer. Pure.

use serde::Deserialize;

use super::{Answer, Error};
use crate::llm::text::{cap, clean};

/// The bytes of a line beyond the longest answer, which may be in one line.
const MAX_LINE_OVERHEAD: usize = 64 * 1024;
/// The most bytes of a stream, with thoughts and envelopes, as a multiple of the longest answer.
const MAX_STREAM_FACTOR: usize = 256;

/// One line. Ollama leaves out counters that are zero.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    error: Option<String>,
    model: Option<String>,
    message: Option<LineMessage>,
    done: bool,
    done_reason: Option<String>,
    total_duration: Option<u64>,
    prompt_eval_count: Option<u64>,
    prompt_eval_cached_count: Option<u64>,
    eval_count: Option<u64>,
    eval_duration: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LineMessage {
    content: Option<String>,
    thinking: Option<String>,
}

/// The received part of a stream.
#[derive(Debug)]
pub(super) struct Collector {
    /// Bytes of the incomplete line: a chunk may split a line and even a character.
    buffer: Vec<u8>,
    content: String,
    thinking: bool,
    lines: u64,
    seen: usize,
    max_answer: usize,
}

impl Collector {
    pub(super) const fn new(max_answer: usize) -> Self {
        Self { buffer: Vec::new(), content: String::new(), thinking: false, lines: 0, seen: 0, max_answer }
    }

    /// Takes a chunk; returns the answer after a line with `"done": true`.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<Option<Answer>, Error> {
        self.seen = self.seen.saturating_add(chunk.len());
        if self.seen > self.max_answer.saturating_mul(MAX_STREAM_FACTOR) {
            return Err(Error::Oversized(self.max_answer));
        }
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (line, after) = rest.split_at(end);
            self.buffer.extend_from_slice(line);
            rest = after.get(1..).unwrap_or_default();
            if let Some(answer) = self.take_line()? {
                return Ok(Some(answer));
            }
        }
        self.buffer.extend_from_slice(rest);
        if self.buffer.len() > self.max_answer.saturating_add(MAX_LINE_OVERHEAD) {
            return Err(Error::Oversized(self.max_answer));
        }
        Ok(None)
    }

    /// Ends the stream, whose last line may lack its line feed.
    pub(super) fn finish(mut self) -> Result<Answer, Error> {
        match self.take_line() {
            Ok(Some(answer)) => Ok(answer),
            // An incomplete last line is a cut stream.
            Ok(None) => Err(Error::StreamCut),
            Err(Error::BadLine { line, .. }) if line > 1 => Err(Error::StreamCut),
            Err(error) => Err(error),
        }
    }

    fn take_line(&mut self) -> Result<Option<Answer>, Error> {
        let bytes = std::mem::take(&mut self.buffer);
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        self.lines += 1;
        let line: Line =
            serde_json::from_slice(&bytes).map_err(|source| Error::BadLine { line: self.lines, source })?;
        if let Some(error) = line.error {
            return Err(Error::Stream(server_message(&error)));
        }
        if let Some(message) = &line.message {
            self.thinking |= message.thinking.as_deref().is_some_and(|t| !t.is_empty());
            self.content.push_str(message.content.as_deref().unwrap_or_default());
        }
        if self.content.len() > self.max_answer {
            return Err(Error::Oversized(self.max_answer));
        }
        if !line.done {
            return Ok(None);
        }
        let (text, thoughts) = without_thoughts(&self.content);
        Ok(Some(Answer {
            text: text.trim().to_owned(),
            model: line.model,
            done_reason: line.done_reason,
            thinking_present: self.thinking || thoughts,
            prompt_eval_count: line.prompt_eval_count,
            prompt_eval_cached_count: line.prompt_eval_cached_count,
            eval_count: line.eval_count,
            total_duration_ns: line.total_duration,
            eval_duration_ns: line.eval_duration,
        }))
    }
}

/// Drops a leading `<think>…</think>`, also without its end or its start.
fn without_thoughts(content: &str) -> (&str, bool) {
    const OPEN: &str = "<think>";
    const CLOSE: &str = "</think>";
    let trimmed = content.trim_start();
    if let Some(inside) = trimmed.strip_prefix(OPEN) {
        return (inside.split_once(CLOSE).map_or("", |(_, after)| after), true);
    }
    match trimmed.split_once(CLOSE) {
        Some((_, after)) => (after, true),
        None => (content, false),
    }
}

/// Shortens a server's error text for the log and the stored reason.
pub(super) fn server_message(text: &str) -> String {
    cap(clean(text).replace('\n', " ").trim(), 300)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = concat!(
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Grüße \"},\"done\":false}\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"aus 東京 🦀\"},\"done\":false}\n",
        "\n",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":7}\n",
    );

    fn collect<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max: usize) -> Result<Answer, Error> {
        let mut collector = Collector::new(max);
        for chunk in chunks {
            if let Some(answer) = collector.push(chunk)? {
                return Ok(answer);
            }
        }
        collector.finish()
    }

    fn line(content: &str) -> String {
        serde_json::json!({"message": {"content": content}, "done": true, "done_reason": "stop"}).to_string()
    }

    #[test]
    fn a_character_split_over_chunks_of_one_byte_arrives_whole() {
        let answer = collect(STREAM.as_bytes().chunks(1), 1000).unwrap();
        assert_eq!(answer.text, "Grüße aus 東京 🦀");
        assert_eq!(answer.eval_count, Some(7));
        assert_eq!(answer.prompt_eval_count, None);
    }

    #[test]
    fn a_last_line_without_a_line_feed_counts() {
        assert_eq!(collect([STREAM.trim_end().as_bytes()], 1000).unwrap().text, "Grüße aus 東京 🦀");
    }

    #[test]
    fn a_stream_cut_anywhere_is_cut_and_never_an_answer() {
        let done = STREAM.rfind('}').unwrap();
        for end in 0..done {
            let error = collect([&STREAM.as_bytes()[..end]], 1000).unwrap_err();
            assert!(matches!(error, Error::StreamCut | Error::BadLine { line: 1, .. }), "{end}: {error:?}");
        }
    }

    #[test]
    fn thoughts_are_dropped_in_every_form() {
        for (content, text) in [
            ("<think>a\nb</think>\n\nAnswer", "Answer"),
            ("  <think></think>Answer", "Answer"),
            ("thoughts the template opened</think>Answer", "Answer"),
            ("<think>never finished", ""),
        ] {
            let answer = collect([line(content).as_bytes()], 1000).unwrap();
            assert_eq!(answer.text, text);
            assert!(answer.thinking_present);
        }
    }

    #[test]
    fn the_thinking_field_is_noticed_and_not_part_of_the_text() {
        let stream =
            "{\"message\":{\"content\":\"\",\"thinking\":\"hm\"}}\n{\"message\":{\"content\":\"Yes\"},\"done\":true}\n";
        let answer = collect([stream.as_bytes()], 1000).unwrap();
        assert_eq!((answer.text.as_str(), answer.thinking_present), ("Yes", true));
    }

    #[test]
    fn endless_text_endless_lines_and_endless_thoughts_hit_the_cap() {
        assert!(matches!(collect([line(&"x".repeat(101)).as_bytes()], 100), Err(Error::Oversized(100))));
        let endless = vec![b'x'; 200_000];
        assert!(matches!(collect([endless.as_slice()], 1000), Err(Error::Oversized(1000))));
        let thought = "{\"message\":{\"thinking\":\"hm hm hm\"}}\n".repeat(10_000);
        assert!(matches!(collect([thought.as_bytes()], 1000), Err(Error::Oversized(1000))));
    }

    #[test]
    fn server_words_are_one_short_clean_line() {
        assert_eq!(server_message("a\u{1b}[31mb\nc"), "a[31mb c");
        assert!(server_message(&"x".repeat(5_000)).len() <= 300);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_never_panic(bytes in any::<Vec<u8>>(), size in 1usize..16) {
            let _ = collect(bytes.chunks(size), 64);
        }

        #[test]
        fn chunk_borders_do_not_matter(size in 1usize..200) {
            prop_assert_eq!(collect(STREAM.as_bytes().chunks(size), 1000).unwrap().text, "Grüße aus 東京 🦀");
        }
    }
}
