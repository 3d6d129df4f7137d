//! The clock that decides what is still protected.
//!
//! Whoever can set the box's clock could turn it forward, so that every term
//! seems to be over, or backward, so that new terms end too early. So this clock
//! is made of times that were seen, and only goes forward: the provider's
//! clock, as its answers show it, and the newest snapshot's time as far as
//! the provider's clock bears it out. The box's own clock is never asked, but
//! where there is neither.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A snapshot this much ahead of the provider is of a wrong clock.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// The highest time that was seen. Kept in the state folder with what else is
/// remembered of the replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clock {
    /// The highest of the provider's clock.
    provider: Option<Timestamp>,
    /// The newest snapshot's, where no provider's clock has been seen.
    snapshot: Option<Timestamp>,
}

impl Clock {
    /// The provider's answer was of this time.
    pub fn see_provider(&mut self, at: Timestamp) {
        self.provider = self.provider.max(Some(at));
        self.snapshot = self.snapshot.filter(|s| *s <= self.limit());
    }

    /// There is a snapshot of this time.
    pub fn see_snapshot(&mut self, at: Timestamp) {
        if self.provider.is_none() || at <= self.limit() {
            self.snapshot = self.snapshot.max(Some(at));
        }
    }

    fn limit(&self) -> Timestamp {
        let provider = self.provider.unwrap_or(Timestamp::MAX);
        provider.checked_add(TOLERANCE).unwrap_or(Timestamp::MAX)
    }

    /// It is at least this late. Never earlier than it was.
    pub fn now(&self) -> Timestamp {
        let seen = self.provider.max(self.snapshot);
        seen.unwrap_or_else(Timestamp::now)
    }

    /// Whether a term that ends then is over for certain.
    pub fn is_past(&self, until: Timestamp) -> bool {
        self.provider
            .max(self.snapshot)
            .is_some_and(|now| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_goes_forward_only_and_only_as_far_as_the_provider() {
        let mut clock = Clock::default();
        let term = at("2026-12-24T00:00:00Z");
        assert!(
            !clock.is_past(at("1971-01-01T00:00:00Z")),
            "nothing was seen"
        );
        clock.see_provider(at("2026-11-24T18:00:00Z"));
        // The box's clock was turned forward when this snapshot was made.
        clock.see_snapshot(at("2036-01-01T00:00:00Z"));
        assert_eq!(clock.now(), at("2026-11-24T18:00:00Z"));
        assert!(!clock.is_past(term));
        clock.see_snapshot(at("2026-11-24T18:10:00Z"));
        assert_eq!(clock.now(), at("2026-11-24T18:10:00Z"));
        // Backward, whoever says so.
        clock.see_provider(at("2025-01-01T00:00:00Z"));
        clock.see_snapshot(at("2025-01-01T00:00:00Z"));
        assert_eq!(clock.now(), at("2026-11-24T18:10:00Z"));
        clock.see_provider(term);
        assert!(clock.is_past(term));

        // A snapshot from the future that came first does not stay.
        let mut clock = Clock::default();
        clock.see_snapshot(at("2036-01-01T00:00:00Z"));
        clock.see_provider(at("2026-11-24T18:00:00Z"));
        assert_eq!(clock.now(), at("2026-11-24T18:00:00Z"));
        let kept = serde_json::to_string(&clock).unwrap();
        assert_eq!(serde_json::from_str::<Clock>(&kept).unwrap(), clock);
    }
}
