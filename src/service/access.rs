//! Who may enter: claiming the box, accounts, passwords.

use std::sync::MutexGuard;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Service, UserView, passwords};
use crate::appliance::{ClaimCode, Record};
use crate::engine::{Error, Kind, Result};

const PREFIX: &str = "user/";
const LONGEST_NAME: usize = 64;

#[derive(Serialize, Deserialize)]
struct UserRecord {
    /// argon2id in PHC form.
    password: String,
    created: Timestamp,
}

impl Record for UserRecord {
    const VERSION: u32 = 1;
}

impl Service {
    /// Whether the box has an owner.
    pub fn claimed(&self) -> bool {
        match self.state.settings().list::<UserRecord>(PREFIX) {
            Ok(users) => !users.is_empty(),
            Err(e) => {
                // Accounts that cannot be read must never open the box to a
                // new owner.
                tracing::error!("the accounts cannot be read: {e}");
                true
            }
        }
    }

    /// Gives the box its first account. `None` if the code is wrong; a
    /// box that has an owner is `Busy`. Costs a password hash. Not throttled
    /// here: that is for the panel, which knows who asks.
    pub fn claim(&self, code: &str, user: &str, password: &str) -> Result<Option<UserView>> {
        let _one = self.accounts();
        if self.claimed() {
            return Err(Error::new(
                Kind::Busy,
                "the box has an owner already; log in instead",
            ));
        }
        let settings = self.state.settings();
        if !ClaimCode::open(settings)?.matches(code) {
            return Ok(None);
        }
        let user = self.make_user(user, password)?;
        ClaimCode::discard(settings)?;
        tracing::info!(user = user.name, "the box has an owner");
        Ok(Some(user))
    }

    /// Checks a password; `None` without saying whether name or password is
    /// wrong. Costs a password hash, also for unknown names. Not throttled here.
    pub fn check_login(&self, user: &str, password: &str) -> Result<Option<UserView>> {
        let known = match check_name(user) {
            Ok(()) => self.state.settings().get::<UserRecord>(&key(user))?,
            Err(_) => None,
        };
        let Some(record) = known else {
            self.decoy.check(password)?;
            return Ok(None);
        };
        Ok(passwords::matches(password, &record.password)?.then(|| view(user, &record)))
    }

    /// All accounts, by name.
    pub fn users(&self) -> Result<Vec<UserView>> {
        let users = self.state.settings().list::<UserRecord>(PREFIX)?;
        Ok(users.iter().map(|(name, user)| view(name, user)).collect())
    }

    /// Makes an account. A name in use is `Busy`.
    pub fn add_user(&self, user: &str, password: &str) -> Result<UserView> {
        let _one = self.accounts();
        self.make_user(user, password)
    }

    /// Replaces a password.
    pub fn set_password(&self, user: &str, password: &str) -> Result<()> {
        passwords::check_strength(password)?;
        let _one = self.accounts();
        let mut record = self.user(user)?;
        record.password = passwords::hash(password)?;
        self.state.settings().put(&key(user), &record)
    }

    /// Removes an account; the last one is `Refused`.
    pub fn remove_user(&self, user: &str) -> Result<()> {
        let _one = self.accounts();
        self.user(user)?;
        if self.users()?.len() < 2 {
            return Err(Error::new(
                Kind::Refused,
                format!("{user} is the only account; make another before removing it"),
            ));
        }
        self.state.settings().remove(&key(user)).map(drop)
    }

    fn make_user(&self, user: &str, password: &str) -> Result<UserView> {
        check_name(user)?;
        passwords::check_strength(password)?;
        let record = UserRecord {
            password: passwords::hash(password)?,
            created: Timestamp::now(),
        };
        if !self.state.settings().insert(&key(user), &record)? {
            return Err(Error::new(
                Kind::Busy,
                format!("there is an account {user} already; choose another name"),
            ));
        }
        Ok(view(user, &record))
    }

    fn user(&self, user: &str) -> Result<UserRecord> {
        check_name(user)?;
        self.state
            .settings()
            .get(&key(user))?
            .ok_or_else(|| Error::new(Kind::Missing, format!("there is no account {user}")))
    }

    fn accounts(&self) -> MutexGuard<'_, ()> {
        // It guards no data of its own, so a panic under it left none half-made.
        self.accounts.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn key(user: &str) -> String {
    format!("{PREFIX}{user}")
}

fn view(name: &str, record: &UserRecord) -> UserView {
    UserView {
        name: name.to_owned(),
        created: record.created,
    }
}

fn check_name(user: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if user.is_empty() || user.len() > LONGEST_NAME || !user.chars().all(good) {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "a user name has 1 to {LONGEST_NAME} letters, digits or . - _ @ (no accents or spaces)"
            ),
        ));
    }
    Ok(())
}
