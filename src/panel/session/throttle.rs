//! Slows down guessing, per address. Nobody is ever locked out of an
//! account: a stranger could lock out its owner that way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Wrong tries that cost nothing.
const FREE: u32 = 5;
/// Longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(60);
/// Wrong tries are forgotten after this long without another.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Addresses remembered; beyond it the one quiet for longest is forgotten.
const ADDRESSES: usize = 4096;

#[derive(Clone, Copy)]
struct Tries {
    wrong: u32,
    last: Instant,
}

/// Wrong tries by address (IPv6: by /64, which one machine has to itself).
#[derive(Default)]
pub(super) struct Throttle {
    tries: Mutex<HashMap<IpAddr, Tries>>,
}

impl Throttle {
    /// Counts a try as wrong, or says for how many seconds none is allowed.
    pub fn before(&self, peer: IpAddr) -> Result<(), u64> {
        self.before_at(peer, Instant::now())
    }

    fn before_at(&self, peer: IpAddr, now: Instant) -> Result<(), u64> {
        let mut all = self.lock();
        all.retain(|_, tries| now.duration_since(tries.last) < FORGET);
        if all.len() >= ADDRESSES {
            let quiet = all.iter().min_by_key(|(_, t)| t.last).map(|(ip, _)| *ip);
            quiet.and_then(|ip| all.remove(&ip));
        }
        let tries = all.entry(network(peer)).or_insert(Tries {
            wrong: 0,
            last: now,
        });
        let wait = tries.wait().saturating_sub(now.duration_since(tries.last));
        if !wait.is_zero() {
            return Err(wait.as_secs().max(1));
        }
        tries.wrong = tries.wrong.saturating_add(1);
        tries.last = now;
        Ok(())
    }

    /// The try was right: the address starts afresh.
    pub fn succeeded(&self, peer: IpAddr) {
        self.lock().remove(&network(peer));
    }

    /// The try was no guess: it does not count.
    pub fn forgive(&self, peer: IpAddr) {
        if let Some(tries) = self.lock().get_mut(&network(peer)) {
            tries.wrong = tries.wrong.saturating_sub(1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Tries>> {
        // Nothing panics under the lock; the map is whole in any case.
        self.tries.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Tries {
    /// 0 for the first few, then 1, 2, 4… seconds.
    fn wait(self) -> Duration {
        match self.wrong.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(over) => LONGEST.min(Duration::from_secs(1 << over.min(6))),
        }
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_down_and_forgotten_after_a_while() {
        let throttle = Throttle::default();
        let (here, there) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let start = Instant::now();
        for _ in 0..FREE {
            throttle.before_at(here, start).unwrap();
        }
        assert_eq!(throttle.before_at(here, start), Err(1));
        throttle.before_at(there, start).unwrap();
        let later = start + Duration::from_secs(1);
        throttle.before_at(here, later).unwrap();
        assert_eq!(throttle.before_at(here, later), Err(2));
        throttle.before_at(here, later + FORGET).unwrap();
        throttle.before_at(here, later + FORGET).unwrap();
    }

    #[test]
    fn a_right_password_starts_afresh() {
        let throttle = Throttle::default();
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        for _ in 0..FREE {
            throttle.before(here).unwrap();
        }
        assert!(throttle.before(neighbour).is_err());
        throttle.succeeded(here);
        throttle.before(neighbour).unwrap();
    }
}
