//! How long to wait before asking again for what the SDK does not ask for again by itself.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Waits of 25 ms, 50 ms … up to 1 s, eight of them, each stretched at random up to twofold.
pub(super) fn delays() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(25))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(8)
        .build()
}
