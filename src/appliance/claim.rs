//! The claim code: whoever can read the box's console may become its owner.

use serde::{Deserialize, Serialize};

use super::{Record, Settings, files};
use crate::engine::Result;

/// Letters and digits that nobody confuses: no `I`, `L`, `O`, `0`, `1`.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const LENGTH: usize = 8;

/// A claim code, written `ABCD-EFGH`: one of 8.5 × 10¹¹.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimCode(String);

impl Record for ClaimCode {
    const VERSION: u32 = 1;
}

impl ClaimCode {
    const NAME: &str = "claim-code";

    /// The box's code, made if there is none yet.
    pub fn open(settings: &Settings) -> Result<Self> {
        if let Some(code) = settings.get(Self::NAME)? {
            return Ok(code);
        }
        let code = Self::generate()?;
        settings.put(Self::NAME, &code)?;
        Ok(code)
    }

    /// Forgets the code: the box has an owner.
    pub fn discard(settings: &Settings) -> Result<()> {
        settings.remove(Self::NAME).map(drop)
    }

    fn generate() -> Result<Self> {
        let mut code = String::with_capacity(LENGTH + 1);
        while code.len() < LENGTH + 1 {
            let [byte] = files::random::<1>()?;
            // 248 is the largest multiple of 31 in a byte: beyond it some
            // letters would be more likely than others.
            if byte < 248 {
                if code.len() == LENGTH / 2 {
                    code.push('-');
                }
                code.push(char::from(ALPHABET[usize::from(byte % 31)]));
            }
        }
        Ok(Self(code))
    }

    /// As shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `typed` is this code, in any case and with or without hyphen
    /// and spaces. Takes the same time wherever they differ.
    pub fn matches(&self, typed: &str) -> bool {
        let bare = |text: &str| -> String {
            text.chars()
                .filter(|c| !c.is_whitespace() && *c != '-')
                .map(|c| c.to_ascii_uppercase())
                .collect()
        };
        // Comparing hashes is constant in time.
        blake3::hash(bare(&self.0).as_bytes()) == blake3::hash(bare(typed).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_well_formed_differ_and_forgive_how_they_are_typed() {
        let code = ClaimCode::generate().unwrap();
        let text = code.as_str();
        assert_eq!((text.len(), text.find('-')), (9, Some(4)));
        assert!(text.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)));
        assert!(code != ClaimCode::generate().unwrap());
        assert!(code.matches(&text.to_lowercase().replace('-', " ")));
        assert!(!code.matches(&text[1..]));
        assert!(!code.matches(""));
    }
}
