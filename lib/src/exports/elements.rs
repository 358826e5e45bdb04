//! The elements of a JSON array, written one at a time.

use std::io::Write;

use serde::Serialize;

use super::Error;

/// An array whose brackets are written by others.
#[derive(Debug, Default)]
pub(super) struct Elements {
    written: usize,
}

impl Elements {
    /// Writes one more element, with a comma before it if it is not the first.
    pub(super) fn write<T: Serialize + ?Sized>(&mut self, out: &mut impl Write, element: &T) -> Result<(), Error> {
        if self.written > 0 {
            out.write_all(b",\n")?;
        }
        self.written += 1;
        Ok(serde_json::to_writer(out, element)?)
    }
}
