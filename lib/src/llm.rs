//! A language model explains a finding: ask, parse, check.
//!
//! The path of one analysis, file by file:
//!
//! 1. [`facts`]: what the report (and enrichment) says, without anything of a scan;
//! 2. [`prompt`]: facts → the messages the model gets, a pure function; its hash names them;
//! 3. [`ollama`]: one `POST /api/chat`, streamed, every failure its own variant;
//! 4. [`answer`]: Markdown or JSON → summary, recommendations, risk score;
//! 5. [`evidence`]: what the facts do not say goes, and the analysis is marked;
//! 6. [`substance`]: what says nothing is refused or marked;
//! 7. [`mod@explain`]: the order of 3 to 6, with one repair attempt.
//!
//! The model explains and does not decide: nothing in here changes a severity, a fixed version or a
//! priority. Report text is hostile input on the way in, and so is the model's text on the way out.

pub mod answer;
pub mod evidence;
pub mod explain;
pub mod facts;
pub mod ollama;
pub mod prompt;
pub mod question;
pub mod substance;
pub mod text;

pub use answer::{Parsed, RiskScore};
pub use evidence::{Checked, Evidence};
pub use explain::{Explanation, Outcome, explain};
pub use facts::Facts;
pub use ollama::{Ollama, OllamaConfig, OllamaUrl};
pub use prompt::{Message, Options, Prompt, Role};
pub use question::{Question, Questions};
