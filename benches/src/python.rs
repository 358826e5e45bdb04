//! Runs `rows.py` as a process, so that its rounds alternate with those of Sirius.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::input::Files;

/// The running program.
#[derive(Debug)]
pub(crate) struct Python {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _files: Files,
}

impl Python {
    /// Starts it on these reports.
    pub(crate) fn new(reports: &[Vec<u8>]) -> Self {
        let files = Files::new(reports);
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/rows.py"))
            .arg(files.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers, _files: files }
    }

    /// Runs a job, `rows` or `items`, with all reports once. Returns CPU seconds and findings.
    pub(crate) fn round(&mut self, job: &str) -> (f64, usize) {
        writeln!(self.questions.as_mut().unwrap(), "{job}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let (seconds, findings) = answer.trim().split_once(' ').unwrap();
        (seconds.parse().unwrap(), findings.parse().unwrap())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The program ends with its input.
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}
