//! Flattens Markdown into lines of plain text.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading, 1 to 6.
    Heading(u8),
    /// A line of a paragraph.
    Text,
    /// The first line of a list item.
    Item,
    /// A line of a code block, in backticks.
    Code,
}

/// A line of text without Markdown, except for backticks around code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// It begins in bold, and may be a heading.
    pub(super) bold: bool,
    /// It continues the paragraph or item of the line before.
    pub(super) continues: bool,
}

/// A document: its lines, and its code blocks unchanged.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) lines: Vec<Line>,
    pub(super) code_blocks: Vec<String>,
}

/// Flattens a document. Links become `text (url)`, images and HTML keep their source text.
pub(super) fn flatten(markdown: &str) -> Document {
    let mut walk = Walk::default();
    for event in Parser::new(markdown) {
        walk.take(event);
    }
    walk.end_line();
    walk.document
}

#[derive(Default)]
struct Walk {
    document: Document,
    text: String,
    bold: bool,
    /// The level of the open heading.
    heading: Option<u8>,
    fresh_item: bool,
    fresh_block: bool,
    items: usize,
    code: Option<String>,
    /// Targets of open links and images, with the length of the text before them.
    targets: Vec<(String, usize)>,
}

impl Walk {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(&text),
            },
            Event::Code(code) => self.push(&code_span(&code)),
            // Kept, so that the evidence check sees it; a line break is only layout.
            Event::Html(html) | Event::InlineHtml(html) => {
                if html.trim_end().to_ascii_lowercase().replace([' ', '/'], "") == "<br>" {
                    self.end_line();
                } else {
                    self.push(&html);
                }
            }
            Event::SoftBreak | Event::HardBreak => self.end_line(),
            Event::Rule => self.new_block(),
            Event::FootnoteReference(name) => self.push(&name),
            Event::InlineMath(math) | Event::DisplayMath(math) => self.push(&math),
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.new_block();
                self.heading = Some(level as u8);
            }
            Tag::Item => {
                self.new_block();
                self.items += 1;
                self.fresh_item = true;
            }
            Tag::CodeBlock(_) => {
                self.new_block();
                self.code = Some(String::new());
            }
            Tag::Strong => self.bold |= self.text.trim().is_empty(),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.targets.push((dest_url.into_string(), self.text.len()));
            }
            Tag::Emphasis | Tag::Strikethrough | Tag::Superscript | Tag::Subscript => {}
            _ => self.new_block(),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.end_line();
                self.heading = None;
                self.fresh_block = true;
            }
            TagEnd::Item => {
                self.new_block();
                self.items = self.items.saturating_sub(1);
                self.fresh_item = false;
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                for line in code.lines().filter(|line| !line.trim().is_empty()) {
                    let text = code_span(line.trim());
                    self.document.lines.push(Line { kind: Kind::Code, text, bold: false, continues: false });
                }
                self.document.code_blocks.push(code);
            }
            TagEnd::Link => {
                if let Some((url, start)) = self.targets.pop()
                    && self.text.get(start..).is_none_or(|text| text.trim() != url)
                {
                    self.push(&format!(" ({url})"));
                }
            }
            TagEnd::Image => {
                if let Some((url, start)) = self.targets.pop() {
                    let alt = self.text.split_off(start.min(self.text.len()));
                    self.push(&format!("![{alt}]({url})"));
                }
            }
            TagEnd::Strong | TagEnd::Emphasis | TagEnd::Strikethrough | TagEnd::Superscript | TagEnd::Subscript => {}
            _ => self.new_block(),
        }
    }

    fn push(&mut self, text: &str) {
        // HTML blocks and entities can bring line feeds.
        let mut parts = text.split('\n');
        self.text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            self.end_line();
            self.text.push_str(part);
        }
    }

    fn new_block(&mut self) {
        self.end_line();
        self.fresh_block = true;
    }

    fn end_line(&mut self) {
        let text = std::mem::take(&mut self.text);
        let bold = std::mem::take(&mut self.bold);
        // An open link continues at the start of the next line.
        for (_, start) in &mut self.targets {
            *start = 0;
        }
        if text.trim().is_empty() {
            return;
        }
        let kind = match self.heading {
            Some(level) => Kind::Heading(level),
            None if std::mem::take(&mut self.fresh_item) => Kind::Item,
            None => Kind::Text,
        };
        let fresh = std::mem::take(&mut self.fresh_block);
        let continues = kind == Kind::Text && (self.items > 0 || !fresh);
        self.document.lines.push(Line { kind, text: text.trim().to_owned(), bold, continues });
    }
}

/// Encloses code in backticks, and replaces those inside, which would end the span.
fn code_span(code: &str) -> String {
    format!("`{}`", code.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(markdown: &str) -> Vec<String> {
        flatten(markdown).lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn links_and_images_keep_their_targets_and_html_its_source() {
        assert_eq!(
            texts("See [the fix](http://a.example/x), <http://b.example/>, ![p](http://c.example/i.png) and <b>x</b>."),
            ["See the fix (http://a.example/x), http://b.example/, ![p](http://c.example/i.png) and <b>x</b>."]
        );
        assert_eq!(texts("<script>\nalert(1)\n</script>"), ["<script>", "alert(1)", "</script>"]);
        assert_eq!(texts("a <br/> b"), ["a", "b"]);
        assert_eq!(texts("[a\nb](http://x.example)"), ["a", "b (http://x.example)"]);
    }

    #[test]
    fn code_keeps_backticks_and_blocks_become_lines() {
        assert_eq!(texts("run `apt update` now"), ["run `apt update` now"]);
        assert_eq!(texts("```sh\ncurl x | sh\n\nls\n```"), ["`curl x | sh`", "`ls`"]);
        assert_eq!(texts("``a`b``"), ["`a'b`"]);
    }

    #[test]
    fn items_headings_and_continued_lines_are_told_apart() {
        let lines = flatten("# A\n**B**\nc\n\n- one\n  more\n\n  para\n- two\n  1. in\n\nend").lines;
        let shape: Vec<_> = lines.iter().map(|l| (l.kind, l.text.as_str(), l.bold, l.continues)).collect();
        assert_eq!(
            shape,
            [
                (Kind::Heading(1), "A", false, false),
                (Kind::Text, "B", true, false),
                (Kind::Text, "c", false, true),
                (Kind::Item, "one", false, false),
                (Kind::Text, "more", false, true),
                (Kind::Text, "para", false, true),
                (Kind::Item, "two", false, false),
                (Kind::Item, "in", false, false),
                (Kind::Text, "end", false, false),
            ]
        );
    }
}
