//! Passwords are kept as argon2id hashes only.
//!
//! Parameters: 19 MiB, 2 passes, 1 lane (the second of the settings OWASP's
//! password storage guide gives as equal), about 30 ms on the box. The panel
//! makes two at a time at most, so a flood of logins costs 38 MiB.

use std::sync::OnceLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::engine::{Error, Kind, Result};

/// Shortest password accepted, in characters.
pub const SHORTEST: usize = 10;
/// Longest, so that hashing costs the same for all.
const LONGEST: usize = 256;

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(19 * 1024, 2, 1, None)
        .map_err(|e| Error::new(Kind::Io, format!("argon2 refused its parameters: {e}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A password's hash in PHC form, with parameters and salt.
pub(super) fn hash(password: &str) -> Result<String> {
    hasher()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|e| Error::new(Kind::Io, format!("the password could not be hashed: {e}")))
}

/// Whether `password` is the one that was hashed.
pub(super) fn matches(password: &str, hash: &str) -> Result<bool> {
    if password.chars().count() > LONGEST {
        return Ok(false);
    }
    let parsed = PasswordHash::new(hash).map_err(|e| {
        Error::new(
            Kind::Corrupt,
            format!("a stored password hash cannot be read: {e}"),
        )
    })?;
    // The hash brings the parameters it was made with.
    match Argon2::default().verify_password(password.as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(e) => Err(Error::new(
            Kind::Io,
            format!("the password could not be checked: {e}"),
        )),
    }
}

/// Refuses passwords that are too short or too long.
pub(super) fn check_strength(password: &str) -> Result<()> {
    match password.chars().count() {
        SHORTEST..=LONGEST => Ok(()),
        n => Err(Error::new(
            Kind::Refused,
            format!("the password has {n} characters; it must have {SHORTEST} to {LONGEST}"),
        )),
    }
}

/// A hash nobody knows the password of: an unknown name is checked against
/// it, so that it takes as long as a wrong password.
#[derive(Default)]
pub(super) struct Decoy(OnceLock<String>);

impl Decoy {
    pub fn check(&self, password: &str) -> Result<()> {
        let hash = match self.0.get() {
            Some(hash) => hash,
            None => {
                let made = hash("a password that no account has")?;
                self.0.get_or_init(|| made)
            }
        };
        matches(password, hash).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2id_salted_and_checked() {
        let (one, two) = (
            hash("contraseña larga").unwrap(),
            hash("contraseña larga").unwrap(),
        );
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        assert!(matches("contraseña larga", &one).unwrap());
        assert!(!matches("contraseña Larga", &one).unwrap());
        assert_eq!(matches("x", "garbage").unwrap_err().kind(), Kind::Corrupt);
        assert!(check_strength("contraseña").is_ok());
        assert!(check_strength("contrase").is_err());
    }
}
