//! The measured reports.

use std::path::{Path, PathBuf};

use support::{corpus, report, unique};

/// A set of reports.
#[derive(Debug)]
pub(crate) struct Input {
    /// The name in the table.
    pub(crate) name: &'static str,
    /// The bytes of each report.
    pub(crate) reports: Vec<Vec<u8>>,
}

impl Input {
    /// Builds one report of about 32 MB with 10,440 findings.
    pub(crate) fn large() -> Self {
        Self { name: "32 MB report", reports: vec![report::large()] }
    }

    /// Reads the real reports of the corpus, if there is one.
    pub(crate) fn corpus() -> Option<Self> {
        let real = corpus::files()?.into_iter().filter(|file| file.accept && file.real);
        Some(Self { name: "corpus", reports: real.map(|file| file.bytes).collect() })
    }

    /// Returns the length of all reports together.
    pub(crate) fn bytes(&self) -> usize {
        self.reports.iter().map(Vec::len).sum()
    }
}

/// Files for another process, deleted on drop.
#[derive(Debug)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// Writes each content to a file.
    pub(crate) fn new(contents: &[Vec<u8>]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("bench"));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Self(folder);
        for (number, content) in contents.iter().enumerate() {
            std::fs::write(files.path(number), content).unwrap();
        }
        files
    }

    /// Returns the paths.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Returns the path of a content.
    pub(crate) fn path(&self, number: usize) -> PathBuf {
        self.0.join(format!("{number:04}"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
