//! Keys: made, written down as words, and derived from one another.
//!
//! Everything secret comes from the 32-byte master key by BLAKE3's key
//! derivation, with a context string of its own for every use (`docs/format.md`
//! §2). Keys are zeroed when dropped and have no `Debug`.

use std::collections::HashMap;
use std::sync::OnceLock;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::error::{Error, Kind, Result};
use super::ids::Id;

/// The pool's master key: 32 secret bytes from which every other key comes.
/// Zeroed when dropped; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey(pub [u8; 32]);

/// The recovery key as 24 Spanish BIP-39 words (256 bits and a checksum).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKey(pub [u8; 32]);

/// Fills an array from the system's random source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut out = [0u8; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut out[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => {
                return Err(Error::io(
                    "the system's random source gave nothing; no key can be made",
                    e.into(),
                ));
            }
        }
    }
    Ok(out)
}

impl MasterKey {
    /// A fresh key from the system's random source.
    pub fn generate() -> Result<Self> {
        Ok(Self(random()?))
    }
}

impl RecoveryKey {
    /// A fresh key from the system's random source.
    pub fn generate() -> Result<Self> {
        Ok(Self(random()?))
    }

    /// The words, one by one, to show once.
    pub fn words(&self) -> Vec<String> {
        match bip39::Mnemonic::from_entropy_in(bip39::Language::Spanish, &self.0) {
            Ok(m) => m.words().map(compose).collect(),
            // 32 bytes are a valid length, the only thing that can be wrong.
            Err(_) => Vec::new(),
        }
    }

    /// Reads words as a person types them: any case, accents or not, any
    /// white space. `Refused` names the word that is wrong, or the checksum.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != 24 {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the recovery key has 24 words, but {} were given; type all of them in order",
                    words.len()
                ),
            ));
        }
        let mut exact = String::new();
        for (i, word) in words.iter().enumerate() {
            let Some(found) = dictionary().get(&fold(word)) else {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "word {} of the recovery key, {word:?}, is not in the list; compare it with the printed page",
                        i + 1
                    ),
                ));
            };
            exact.push_str(found);
            exact.push(' ');
        }
        let wrong = || {
            Error::new(
                Kind::Refused,
                "the recovery key's checksum does not match: a word is another one than was printed, or the order differs; compare word by word",
            )
        };
        let mnemonic = bip39::Mnemonic::parse_in_normalized(bip39::Language::Spanish, exact.trim());
        exact.zeroize();
        let mut entropy = mnemonic.map_err(|_| wrong())?.to_entropy();
        let key = <[u8; 32]>::try_from(entropy.as_slice()).map_err(|_| wrong());
        entropy.zeroize();
        Ok(Self(key?))
    }
}

/// Folded word to the list's own spelling.
fn dictionary() -> &'static HashMap<String, &'static str> {
    static MAP: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    MAP.get_or_init(|| {
        bip39::Language::Spanish
            .word_list()
            .iter()
            .map(|w| (fold(w), *w))
            .collect()
    })
}

/// Lower case, without accents. The Spanish list is made so that no two words
/// become equal by this.
fn fold(word: &str) -> String {
    word.chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !('\u{300}'..='\u{36f}').contains(c))
        .map(|c| match c {
            'á' => 'a',
            'é' => 'e',
            'í' => 'i',
            'ó' => 'o',
            'ú' | 'ü' => 'u',
            'ñ' => 'n',
            other => other,
        })
        .collect()
}

/// The list holds letter and accent apart; screens and paper want them as one.
fn compose(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        let joined = match (out.chars().last(), c) {
            (Some('a'), '\u{301}') => 'á',
            (Some('e'), '\u{301}') => 'é',
            (Some('i'), '\u{301}') => 'í',
            (Some('o'), '\u{301}') => 'ó',
            (Some('u'), '\u{301}') => 'ú',
            (Some('u'), '\u{308}') => 'ü',
            (Some('n'), '\u{303}') => 'ñ',
            _ => {
                out.push(c);
                continue;
            }
        };
        out.pop();
        out.push(joined);
    }
    out
}

/// Every key derived from the master key that the engine keeps at hand.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Keys {
    master: MasterKey,
    data: [u8; 32],
    tree: [u8; 32],
}

impl Keys {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self {
            master: master.clone(),
            data: blake3::derive_key("colca v1 chunk id data", &master.0),
            tree: blake3::derive_key("colca v1 chunk id tree", &master.0),
        }
    }

    /// Id of a chunk of content.
    pub(crate) fn data_id(&self, bytes: &[u8]) -> Id {
        Id(*blake3::keyed_hash(&self.data, bytes).as_bytes())
    }

    /// Id of a tree node.
    pub(crate) fn tree_id(&self, bytes: &[u8]) -> Id {
        Id(*blake3::keyed_hash(&self.tree, bytes).as_bytes())
    }

    /// The sealing key of the segment with this header (its first 72 bytes).
    pub(crate) fn segment(&self, epoch: u32, header: &[u8]) -> [u8; 32] {
        self.object("colca v1 segment epoch", epoch, header)
    }

    /// The sealing key of the snapshot record with this header.
    pub(crate) fn snapshot(&self, epoch: u32, header: &[u8]) -> [u8; 32] {
        self.object("colca v1 snapshot epoch", epoch, header)
    }

    /// The sealing key of the history with this id in the catalogue, which is
    /// a cache and no part of the format.
    pub(crate) fn catalogue(&self, id: &[u8; 16]) -> [u8; 32] {
        self.object("colca catalogue", 0, id)
    }

    fn object(&self, context: &'static str, epoch: u32, header: &[u8]) -> [u8; 32] {
        let mut material = [0u8; 36];
        material[..32].copy_from_slice(&self.master.0);
        material[32..].copy_from_slice(&epoch.to_le_bytes());
        let mut epoch_key = blake3::derive_key(context, &material);
        material.zeroize();
        let key = *blake3::keyed_hash(&epoch_key, header).as_bytes();
        epoch_key.zeroize();
        key
    }
}

/// What the header keeps to notice a wrong master key.
pub(crate) fn key_check(master: &MasterKey) -> [u8; 16] {
    let full = blake3::derive_key("colca v1 key check", &master.0);
    let mut out = [0u8; 16];
    out.copy_from_slice(&full[..16]);
    out
}

/// The key that wraps the master key under the recovery key.
pub(crate) fn recovery_wrap(recovery: &RecoveryKey) -> [u8; 32] {
    blake3::derive_key("colca v1 recovery", &recovery.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_careless_typing() {
        for seed in 0..50u8 {
            let key = RecoveryKey([seed.wrapping_mul(37); 32]);
            let words = key.words();
            assert_eq!(words.len(), 24);
            let plain = words
                .iter()
                .map(|w| fold(w).to_uppercase())
                .collect::<Vec<_>>()
                .join(" \t\n");
            assert_eq!(RecoveryKey::parse(&words.join(" ")).unwrap().0, key.0);
            assert_eq!(RecoveryKey::parse(&plain).unwrap().0, key.0);
        }
    }

    #[test]
    fn folding_keeps_the_words_apart() {
        assert_eq!(dictionary().len(), 2048);
        assert_eq!(compose("a\u{301}baco n\u{303}"), "ábaco ñ");
    }

    #[test]
    fn wrong_words_are_named() {
        let mut words = RecoveryKey([7; 32]).words();
        let e = RecoveryKey::parse(&words[..23].join(" ")).err().unwrap();
        assert_eq!(e.kind(), Kind::Refused);
        assert!(e.to_string().contains("23"));
        let good = words[4].clone();
        words[4] = "qwerty".into();
        let e = RecoveryKey::parse(&words.join(" ")).err().unwrap();
        assert!(e.to_string().contains("word 5") && e.to_string().contains("qwerty"));
        words[4] = if good == "ábaco" {
            "abdomen".into()
        } else {
            "ábaco".into()
        };
        let e = RecoveryKey::parse(&words.join(" ")).err().unwrap();
        assert!(e.to_string().contains("checksum"), "{e}");
    }
}
