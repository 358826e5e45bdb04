//! The lease under which one worker at a time changes an item.
//!
//! Claims on reports, analyses and source records have one. An item with a lease has the attributes `owner` (the
//! attempt that acquired it last), `attempt` (the fencing token, a number) and `lease_until` (milliseconds since 1970;
//! absent if the lease has ended).
//!
//! Protocol:
//!
//! 1. Acquire: one update sets `owner` and `lease_until` and adds one to `attempt`, on condition that `lease_until` is
//!    absent or in the past, or that `owner` is the same. The same owner is a retry by the SDK whose first answer was
//!    lost: it acquires the lease again, with a new token, instead of waiting for its own lease.
//! 2. Refused: the answer is the item as it is. Its owner works on it until `lease_until`.
//! 3. Write: every write of the owner has the condition that `attempt` is its token. If it is not, another owner has
//!    acquired the lease since, and the writer gives up ([`super::Error::LostClaim`]).
//! 4. Complete or release: the last write of the owner also removes `lease_until`, so that the next owner need not
//!    wait. `owner` and `attempt` stay: the owner's name leads to the log, and the token must never go back.
//! 5. Crash: nothing is written, and the lease ends at its time. The next owner gets a higher token, which fences off
//!    the first one even if it is still alive.
//!
//! An item that is deleted and created again starts its tokens from the time, so that they still go up.
//!
//! Clock rule: `lease_until` is by the clock of its owner and is compared with the clock of the next one. A wrong clock
//! can end a lease too early or too late, which costs time or double work but never correctness: that comes from the
//! token alone. A lease is longer than its function's timeout, so with right clocks two owners never work at the same
//! time.

use std::time::Duration;

use jiff::Timestamp;

use super::Error;
use super::expression::{Condition, absent, at_most, equals};
use super::keys::Key;
use super::write::Update;
use crate::domain::random;

pub(super) const OWNER: &str = "owner";
pub(super) const ATTEMPT: &str = "attempt";
pub(super) const LEASE_UNTIL: &str = "lease_until";

/// The unique name of one attempt at some work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// Makes a name of 128 random bits.
    pub fn random() -> Result<Self, getrandom::Error> {
        random::name().map(Self)
    }

    /// Puts the id of a request before the name, so that an item leads to the log. An empty id changes nothing.
    #[must_use]
    pub fn of_request(self, request_id: &str) -> Self {
        if request_id.is_empty() { self } else { Self(format!("{request_id}/{}", self.0)) }
    }

    /// Returns the id of the request; empty if there is none.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.0.split_once('/').map_or("", |(request_id, _)| request_id)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One attempt to acquire a lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acquisition<'a> {
    owner: &'a Owner,
    now: Timestamp,
    pub(super) until: Timestamp,
}

impl<'a> Acquisition<'a> {
    pub(super) fn new(
        operation: &'static str,
        owner: &'a Owner,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Self, Error> {
        Ok(Self { owner, now, until: now.checked_add(lease).map_err(Error::refused(operation))? })
    }

    /// The condition of step 1.
    pub(super) fn is_allowed(&self) -> Condition {
        is_free(self.now).or(equals(OWNER, self.owner.as_str()))
    }

    /// The update of step 1, without its condition.
    pub(super) fn update(&self, key: &Key) -> Update {
        let update = Update::of(key).set(OWNER, self.owner.as_str()).set(LEASE_UNTIL, self.until);
        update.count_from(ATTEMPT, self.now)
    }
}

/// The condition that no lease is running.
pub(super) fn is_free(now: Timestamp) -> Condition {
    absent(LEASE_UNTIL).or(at_most(LEASE_UNTIL, now))
}

/// The condition of step 3.
pub(super) fn is_ours(attempt: u64) -> Condition {
    equals(ATTEMPT, attempt)
}

#[cfg(test)]
mod tests {
    use super::super::expression::Aliases;
    use super::*;

    #[test]
    fn a_lease_is_acquired_if_it_is_free_or_has_the_same_owner() {
        let owner = Owner("request/name".to_owned());
        let now = Timestamp::from_second(100).unwrap();
        let lease = Acquisition::new("test", &owner, now, Duration::from_secs(60)).unwrap();
        assert_eq!(lease.until, Timestamp::from_second(160).unwrap());
        let mut aliases = Aliases::default();
        let condition = aliases.condition(lease.is_allowed());
        assert_eq!(condition, "attribute_not_exists(#n00) OR #n00 <= :v00 OR #n01 = :v01");
        let declared = aliases.declared();
        assert_eq!(declared.names.unwrap()["#n00"], LEASE_UNTIL);
        assert_eq!(declared.values.unwrap()[":v00"].as_n().unwrap(), "100000");
    }

    #[test]
    fn the_owner_of_a_request_leads_to_its_log() {
        let owner = Owner::random().unwrap();
        assert_eq!(owner.request_id(), "");
        assert_eq!(owner.clone().of_request(""), owner);
        assert_eq!(owner.of_request("id").request_id(), "id");
    }
}
