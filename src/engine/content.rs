//! A file's content as a stream, for downloads.

use std::io::Read;
use std::sync::Arc;

use super::blocks::{Blocks, Chunk};
use super::error::{Error, Kind};
use super::format::tree::{Extent, List};
use super::locks::Pin;
use super::nodes::ListIter;

/// Reads a file chunk by chunk; every chunk is checked before its first byte is given out.
pub(crate) struct Content {
    blocks: Arc<Blocks>,
    extents: ListIter<Arc<Blocks>, Extent>,
    current: Current,
    _pin: Pin,
}

enum Current {
    Chunk(Chunk, usize),
    Zeros(u64),
}

impl Content {
    pub(crate) fn new(blocks: Arc<Blocks>, extents: List<Extent>, pin: Pin) -> Self {
        Self {
            extents: ListIter::new(blocks.clone(), extents),
            blocks,
            current: Current::Zeros(0),
            _pin: pin,
        }
    }
}

fn io(e: Error) -> std::io::Error {
    let kind = match e.kind() {
        Kind::Corrupt => std::io::ErrorKind::InvalidData,
        Kind::Missing => std::io::ErrorKind::NotFound,
        Kind::Transient => std::io::ErrorKind::TimedOut,
        _ => std::io::ErrorKind::Other,
    };
    std::io::Error::new(kind, e)
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.current {
                Current::Chunk(chunk, at) if *at < chunk.len() => {
                    let n = buf.len().min(chunk.len() - *at);
                    buf[..n].copy_from_slice(&chunk[*at..*at + n]);
                    *at += n;
                    return Ok(n);
                }
                Current::Zeros(left) if *left > 0 => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                    buf[..n].fill(0);
                    *left -= n as u64;
                    return Ok(n);
                }
                _ => {}
            }
            self.current = match self.extents.next() {
                None => return Ok(0),
                Some(Err(e)) => return Err(io(e)),
                Some(Ok(Extent::Zeros { len })) => Current::Zeros(len),
                Some(Ok(Extent::Data { id, .. })) => {
                    Current::Chunk(self.blocks.data(&id).map_err(io)?, 0)
                }
            };
        }
    }
}
