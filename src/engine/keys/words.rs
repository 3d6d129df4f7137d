//! The recovery key and its 24 words.

use std::collections::HashMap;
use std::sync::OnceLock;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::random;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::storage::hex;

/// The recovery key as 24 Spanish BIP-39 words (256 bits and a checksum).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKey(pub [u8; 32]);

impl RecoveryKey {
    /// A fresh key from the system's random source.
    pub fn generate() -> Result<Self> {
        Ok(Self(random()?))
    }

    /// The words, one by one, to show once.
    pub fn words(&self) -> Zeroizing<Vec<String>> {
        Zeroizing::new(
            match bip39::Mnemonic::from_entropy_in(bip39::Language::Spanish, &self.0) {
                Ok(m) => m.words().map(compose).collect(),
                // 32 bytes are a valid length, the only thing that can be wrong.
                Err(_) => Vec::new(),
            },
        )
    }

    /// Eight digits, `7f3a-91bc`, that stand on the recovery page and, in the
    /// clear, in the header: they tell whether a page is the valid one without
    /// anybody typing the words, and give nothing away about them.
    pub fn page_check(&self) -> String {
        let digest = blake3::derive_key("colca v1 recovery page", &self.0);
        format!("{}-{}", hex(&digest[..2]), hex(&digest[2..4]))
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
        // Long enough for any 24 words of the list: growing would leave a copy behind.
        let mut exact = Zeroizing::new(String::with_capacity(1024));
        for (i, word) in words.iter().enumerate() {
            let Some(found) = dictionary().get(&*Zeroizing::new(fold(word))) else {
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
        let entropy = Zeroizing::new(mnemonic.map_err(|_| wrong())?.to_entropy());
        <[u8; 32]>::try_from(entropy.as_slice())
            .map(Self)
            .map_err(|_| wrong())
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
        let mut words = RecoveryKey([7; 32]).words().to_vec();
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

    #[test]
    fn the_page_check_tells_pages_apart() {
        let a = RecoveryKey([1; 32]).page_check();
        assert_eq!(a, RecoveryKey([1; 32]).page_check());
        assert_ne!(a, RecoveryKey([2; 32]).page_check());
        assert!(a.len() == 9 && a.as_bytes()[4] == b'-');
    }
}
