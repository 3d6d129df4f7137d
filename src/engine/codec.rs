//! Compression, with contexts that live as long as their worker, and without
//! wasting time on what does not compress.

use zstd::zstd_safe::{CParameter, Strategy};

use super::error::{Error, Kind, Result};
use super::format::segment::{BLOCK_MAX, Codec};

/// A block is stored compressed when that saves at least one part in this many.
pub const WORTH: usize = 32;
/// What level 1 stands for: for source text and the like a tenth smaller than
/// the library's own level 1 at a twentieth more time, because the window
/// covers a whole block and two tables, which still fit the second-level cache,
/// find longer matches.
pub const LEVEL_1: [CParameter; 6] = [
    CParameter::WindowLog(20),
    CParameter::Strategy(Strategy::ZSTD_dfast),
    CParameter::HashLog(16),
    CParameter::ChainLog(14),
    CParameter::MinMatch(6),
    CParameter::SearchLog(1),
];
/// Bytes of one sample of a body that may not compress.
pub const SAMPLE: usize = 4 << 10;
/// How many of them are tried.
pub const SAMPLES: usize = 4;

/// One worker's compressor. After a body that did not compress, the next ones
/// are only sampled until a sample does: media and archives cost little, and a
/// change of the kind of data is noticed within one block.
pub(crate) struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
    doubtful: bool,
}

fn broken(e: std::io::Error) -> Error {
    Error::io("the compressor could not be set up", e)
}

impl Compressor {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let mut zstd = zstd::bulk::Compressor::new(level).map_err(broken)?;
        if level == 1 {
            for parameter in LEVEL_1 {
                zstd.set_parameter(parameter).map_err(broken)?;
            }
        }
        Ok(Self {
            zstd,
            out: vec![0; BLOCK_MAX],
            doubtful: false,
        })
    }

    /// Whether this chunk is so long and so likely incompressible, by samples
    /// and by what came before it, that it need not even be tried.
    pub(crate) fn hopeless(&mut self, chunk: &[u8]) -> bool {
        if self.doubtful && chunk.len() >= 2 * SAMPLES * SAMPLE {
            self.doubtful = !self.samples_compress(chunk);
            return self.doubtful;
        }
        false
    }

    /// The form in which `body` is to be stored.
    pub(crate) fn compress<'a>(&'a mut self, body: &'a [u8]) -> (Codec, &'a [u8]) {
        let room = (body.len() - body.len() / WORTH).min(self.out.len());
        // The only expected failure is that the result does not fit: not worth it.
        match self.zstd.compress_to_buffer(body, &mut self.out[..room]) {
            Ok(n) => {
                self.doubtful = false;
                (Codec::Zstd, &self.out[..n])
            }
            Err(_) => {
                self.doubtful = true;
                (Codec::Raw, body)
            }
        }
    }

    fn samples_compress(&mut self, body: &[u8]) -> bool {
        let stride = body.len() / SAMPLES;
        (0..SAMPLES).any(|i| {
            let sample = &body[i * stride..i * stride + SAMPLE];
            self.zstd
                .compress_to_buffer(sample, &mut self.out[..SAMPLE - SAMPLE / WORTH])
                .is_ok()
        })
    }
}

/// One reader's decompressor.
pub(crate) struct Decompressor(zstd::bulk::Decompressor<'static>);

impl Decompressor {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(zstd::bulk::Decompressor::new().map_err(broken)?))
    }

    /// Undoes the codec: the `len` bytes the body must have, in `out`, or where
    /// they lie if nothing was done to them; then `out` is empty.
    pub(crate) fn expand<'a>(
        &mut self,
        codec: Codec,
        body: &'a [u8],
        len: usize,
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let bad = || Error::new(Kind::Corrupt, "a block does not decompress to its length");
        out.clear();
        match codec {
            Codec::Raw if body.len() == len => return Ok(body),
            Codec::Raw => return Err(bad()),
            Codec::Zstd => {
                // No more than this is written, and nothing zeroed before.
                out.reserve_exact(len);
                self.0.decompress_to_buffer(body, out).map_err(|_| bad())?;
            }
        }
        if out.len() == len {
            Ok(out)
        } else {
            Err(bad())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n: usize) -> Vec<u8> {
        let mut out = vec![0; n];
        aws_lc_rs::rand::fill(&mut out).unwrap();
        out
    }

    #[test]
    fn noise_is_kept_raw_and_text_is_noticed_again() {
        let mut c = Compressor::new(1).unwrap();
        let text = b"one two three four ".repeat(20_000);
        let noise = random(300_000);
        assert_eq!(c.compress(&text).0, Codec::Zstd);
        assert_eq!(c.compress(&noise).0, Codec::Raw);
        assert!(c.hopeless(&noise));
        assert!(
            !c.hopeless(&noise[..1000]),
            "too short to be worth sampling"
        );
        assert!(!c.hopeless(&text));
        let (codec, packed) = c.compress(&text);
        assert_eq!(codec, Codec::Zstd);
        let mut out = vec![7; 3];
        let mut d = Decompressor::new().unwrap();
        let plain = d.expand(codec, packed, text.len(), &mut out).unwrap();
        assert_eq!(plain, text);
        assert_eq!(
            d.expand(Codec::Raw, &noise, noise.len(), &mut out).unwrap(),
            noise
        );
        assert!(out.is_empty());
        assert!(!c.hopeless(&noise), "the last one compressed");
    }

    #[test]
    fn a_wrong_length_is_an_error() {
        let mut c = Compressor::new(1).unwrap();
        let (codec, packed) = c.compress(&[7; 5000]);
        let mut d = Decompressor::new().unwrap();
        for n in [0, 4999, 5001] {
            assert!(d.expand(codec, packed, n, &mut Vec::new()).is_err());
        }
        assert!(d.expand(Codec::Raw, &[1, 2], 3, &mut Vec::new()).is_err());
    }
}
