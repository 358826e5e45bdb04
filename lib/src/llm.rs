//! Has a language model explain a finding, and checks the answer.
//!
//! The steps of one analysis:
//!
//! 1. [`facts`]: the facts of report and enrichment, without anything of a scan;
//! 2. [`prompt`]: facts → the messages to the model, and their hash; pure;
//! 3. [`ollama`]: one `POST /api/chat`, streamed, every failure its own variant;
//! 4. [`answer`]: Markdown or JSON → summary, recommendations, risk score;
//! 5. [`evidence`]: sentences without support in the facts are removed, and the analysis is marked;
//! 6. [`substance`]: text without content is refused or marked;
//! 7. [`mod@explain`]: runs 3 to 6, with one repair attempt.
//!
//! The model explains and does not decide: nothing here changes a severity, a fixed version or a priority. The text of
//! reports and of the model may be hostile.

pub mod answer;
pub mod evidence;
pub mod explain;
pub mod facts;
pub mod ollama;
pub mod prompt;
pub mod question;
pub mod substance;
pub mod text;
mod word_list;

pub use answer::{Parsed, RiskScore};
pub use evidence::{Checked, Evidence};
pub use explain::{Explanation, Outcome, explain};
pub use facts::Facts;
pub use ollama::{Ollama, OllamaConfig, OllamaUrl};
pub use prompt::{Message, Options, Prompt, Role};
pub use question::{Question, Questions};
