//! Sessions in memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use aws_lc_rs::rand;
use axum::http::HeaderValue;
use tokio::sync::Semaphore;

use super::throttle::Throttle;
use super::{ABSOLUTE, COOKIE, IDLE, NewSession, Session};
use crate::engine::storage::hex;
use crate::engine::{Error, Kind, Result};

/// BLAKE3 of a token.
pub(super) type Key = [u8; 32];

/// Password hashes made at the same time, at most: each takes 19 MiB.
const HASHES: usize = 2;
/// Sessions kept at most; beyond it the longest unused one ends. Only people
/// who know a password make any, so this bounds a faulty script, not an attack.
const SESSIONS: usize = 1000;

/// How a token travels. A token is only accepted the way it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In the session cookie.
    Browser,
    /// As `Authorization: Bearer`.
    Program,
}

struct Record {
    user: String,
    csrf: String,
    transport: Transport,
    begun: Instant,
    used: Instant,
}

/// All sessions, and what logging in costs.
pub struct Sessions {
    records: Mutex<HashMap<Key, Record>>,
    pub(super) throttle: Throttle,
    pub(super) hashing: Semaphore,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// None yet.
    pub fn new() -> Self {
        Self {
            records: Mutex::default(),
            throttle: Throttle::default(),
            hashing: Semaphore::new(HASHES),
        }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// `Io` if the system gives no random bytes.
    pub(super) fn begin(&self, user: &str, transport: Transport) -> Result<NewSession> {
        let token = random()?;
        let now = Instant::now();
        let record = Record {
            user: user.to_owned(),
            csrf: random()?,
            transport,
            begun: now,
            used: now,
        };
        let mut records = self.records();
        records.retain(|_, record| record.alive(now));
        if records.len() >= SESSIONS {
            let oldest = records.iter().min_by_key(|(_, r)| r.used).map(|(k, _)| *k);
            oldest.and_then(|key| records.remove(&key));
        }
        records.insert(key(&token), record);
        drop(records);
        Ok(NewSession {
            user: user.to_owned(),
            cookie: cookie(&token),
            token,
        })
    }

    /// The session of a token, which counts as use.
    pub(super) fn find(&self, token: &str, transport: Transport) -> Option<Session> {
        let (key, now) = (key(token), Instant::now());
        let mut records = self.records();
        let record = records.get_mut(&key)?;
        if !record.alive(now) {
            records.remove(&key);
            return None;
        }
        if record.transport != transport {
            return None;
        }
        record.used = now;
        Some(Session {
            user: record.user.clone(),
            csrf: record.csrf.clone(),
            key,
        })
    }

    pub(super) fn end(&self, key: &Key) {
        self.records().remove(key);
    }

    /// Ends all sessions of an account: its password changed, or it was removed.
    pub fn end_user(&self, user: &str) {
        self.records().retain(|_, record| record.user != user);
    }

    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Record>> {
        // No code panics while it holds the lock; the map is whole in any case.
        self.records.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Record {
    fn alive(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE && now.duration_since(self.begun) < ABSOLUTE
    }
}

fn key(token: &str) -> Key {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// 256 random bits in hexadecimal.
fn random() -> Result<String> {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes)
        .map_err(|_| Error::new(Kind::Io, "the system gave no random bytes; try again"))?;
    Ok(hex(&bytes))
}

fn cookie(token: &str) -> HeaderValue {
    let text = format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(text).unwrap_or_else(|_| no_cookie())
}

/// Removes the cookie.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-colca=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_only_the_way_it_was_given_out_and_until_it_ends() {
        let sessions = Sessions::new();
        let new = sessions.begin("ana", Transport::Program).unwrap();
        assert_eq!(sessions.find(&new.token, Transport::Browser), None);
        let session = sessions.find(&new.token, Transport::Program).unwrap();
        assert_eq!(session.user, "ana");
        assert_ne!(session.csrf, new.token);
        sessions.end(&session.key);
        assert_eq!(sessions.find(&new.token, Transport::Program), None);
    }

    #[test]
    fn a_changed_password_ends_only_that_accounts_sessions() {
        let sessions = Sessions::new();
        let ana = sessions.begin("ana", Transport::Browser).unwrap();
        let luis = sessions.begin("luis", Transport::Browser).unwrap();
        sessions.end_user("ana");
        assert_eq!(sessions.find(&ana.token, Transport::Browser), None);
        assert!(sessions.find(&luis.token, Transport::Browser).is_some());
    }

    #[test]
    fn unused_and_old_sessions_end() {
        let now = Instant::now();
        let record = |begun, used| Record {
            user: String::new(),
            csrf: String::new(),
            transport: Transport::Browser,
            begun,
            used,
        };
        assert!(record(now, now).alive(now + IDLE / 2));
        assert!(!record(now, now).alive(now + IDLE));
        assert!(!record(now, now + ABSOLUTE - IDLE / 2).alive(now + ABSOLUTE));
    }
}
