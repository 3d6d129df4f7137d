//! A file being written on a file server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::place::Place;
use crate::engine::Result;
use crate::engine::tree::Output;
use crate::sftp::client::InUse;
use crate::sftp::lane::Asked;
use crate::sftp::wire::{Attrs, Packet, kind};

/// Bytes sent ahead of the server's answers, for each open file.
const AHEAD: u64 = 4 << 20;
/// From this length on a file is made durable on the server before it gets its
/// name. For smaller ones, of which there are many, that would cost more time
/// than everything else; the server writes them out in its own time.
const DURABLE: u64 = 1 << 20;

/// An open file, written ahead of the server's answers. One thread at a time
/// writes: the order of requests is the order of the wire.
pub(super) struct SftpOutput(Mutex<Sending>);

struct Sending {
    shared: Arc<Place>,
    lane: InUse,
    /// Taken when the file is closed.
    handle: Option<Vec<u8>>,
    temporary: Vec<u8>,
    path: Vec<u8>,
    size: u64,
    /// One past the last byte written.
    end: u64,
    /// Requests not yet answered, with the bytes each carries.
    asked: VecDeque<(u64, Asked)>,
    under_way: u64,
}

impl SftpOutput {
    /// `temporary` is open for writing as `handle` on `lane`, to become `path`.
    pub fn new(
        shared: Arc<Place>,
        lane: InUse,
        handle: Vec<u8>,
        temporary: Vec<u8>,
        path: Vec<u8>,
        size: u64,
    ) -> Self {
        Self(Mutex::new(Sending {
            shared,
            lane,
            handle: Some(handle),
            temporary,
            path,
            size,
            end: 0,
            asked: VecDeque::new(),
            under_way: 0,
        }))
    }
}

impl Sending {
    /// Takes in answers until at most `left` bytes and requests are under way.
    fn settle(&mut self, left: u64) -> Result<()> {
        while self.under_way > left
            && let Some((weight, asked)) = self.asked.pop_front()
        {
            self.under_way -= weight;
            asked
                .wait()
                .and_then(|f| f.done())
                .map_err(|f| self.shared.failed("writing", &self.path, f))?;
        }
        Ok(())
    }

    fn send(&mut self, packet: Packet, weight: u64) -> Result<()> {
        let asked = self
            .lane
            .send(packet)
            .map_err(|f| self.shared.failed("writing", &self.path, f))?;
        self.under_way += weight;
        self.asked.push_back((weight, asked));
        Ok(())
    }
}

impl Output for SftpOutput {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sending.write_at(offset, bytes)
    }

    fn close(self: Box<Self>) -> Result<()> {
        let sending = self.0.into_inner();
        sending.unwrap_or_else(PoisonError::into_inner).close()
    }
}

impl Sending {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let Some(handle) = self.handle.clone() else {
            return Ok(());
        };
        let longest = self.lane.offers.longest_write as usize;
        let mut at = offset;
        for piece in bytes.chunks(longest.max(1)) {
            let request = Packet::new(kind::WRITE).bytes(&handle).u64(at).bytes(piece);
            self.send(request, piece.len() as u64)?;
            at += piece.len() as u64;
            self.settle(AHEAD)?;
        }
        self.end = self.end.max(at);
        Ok(())
    }

    fn close(mut self) -> Result<()> {
        let Some(handle) = self.handle.clone() else {
            return Ok(());
        };
        // All at once: the server does them in this order, and the first that
        // fails is the answer.
        if self.end != self.size {
            let attrs = Attrs {
                size: Some(self.size),
                ..Attrs::default()
            };
            self.send(Packet::new(kind::FSETSTAT).bytes(&handle).attrs(&attrs), 1)?;
        }
        if self.size >= DURABLE && self.lane.offers.fsync {
            self.send(Packet::extended("fsync@openssh.com").bytes(&handle), 1)?;
        }
        self.send(Packet::new(kind::CLOSE).bytes(&handle), 1)?;
        self.handle = None;
        let settled = self.settle(0);
        if settled.is_err() {
            self.forget();
            return settled;
        }
        self.shared.put(&self.lane, &self.temporary, &self.path)
    }

    /// Removes the half file. Nobody is left to tell if that fails; at worst a
    /// .part file stays.
    fn forget(&self) {
        let request = Packet::new(kind::REMOVE).bytes(&self.temporary);
        let _ = self.lane.send(request);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.lane.close(&handle);
            self.forget();
        }
    }
}
