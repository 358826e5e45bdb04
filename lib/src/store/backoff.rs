//! Waits before retries that the SDK does not do itself.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::Error;

/// The tries of one operation. The waits between them are 25 ms, 50 ms … up to 1 s, eight of them, each stretched at
/// random up to twofold.
pub(super) struct Retries {
    operation: &'static str,
    delays: ExponentialBackoff,
    tries: usize,
}

impl Retries {
    pub(super) fn of(operation: &'static str) -> Self {
        let delays = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(Duration::from_millis(25))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(8)
            .build();
        Self { operation, delays, tries: 1 }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// [`Error::Unprocessed`] after the last one.
    pub(super) async fn wait(&mut self) -> Result<(), Error> {
        let Some(delay) = self.delays.next() else {
            return Err(Error::Unprocessed { operation: self.operation, tries: self.tries });
        };
        tokio::time::sleep(delay).await;
        self.tries += 1;
        Ok(())
    }

    /// Returns whether no try has failed yet.
    pub(super) const fn is_first(&self) -> bool {
        self.tries == 1
    }
}
