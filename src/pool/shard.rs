//! Reading and writing one shard file.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::buffer::spare_capacity;

use super::Redundancy;
use super::layout::{self, BLOCK, Geometry, HEADER, SUM, ShardHeader};
use super::member::{Member, read_at};
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// A shard being written under a temporary name; dropped unfinished, it is removed.
pub(super) struct ShardWriter {
    pub member: Arc<Member>,
    header: ShardHeader,
    first: Redundancy,
    key: [u8; 32],
    file: File,
    temp: Option<PathBuf>,
    sums: Vec<u8>,
}

impl ShardWriter {
    /// Makes the temporary file, with all its room reserved.
    pub fn create(member: Arc<Member>, header: ShardHeader, first: Redundancy) -> io::Result<Self> {
        if !member.mounted() {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::NODEV.raw_os_error(),
            ));
        }
        let (temp, file) = member.temp()?;
        let encoded = header.encode();
        let writer = Self {
            member,
            header,
            first,
            key: layout::block_key(&encoded),
            file,
            temp: Some(temp),
            sums: Vec::new(),
        };
        match rustix::fs::fallocate(
            &writer.file,
            rustix::fs::FallocateFlags::empty(),
            0,
            header.geometry.file_len(),
        ) {
            // Without it a full disk is noticed later, but noticed.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(e) => return Err(e.into()),
        }
        writer.file.write_all_at(&encoded, 0)?;
        Ok(writer)
    }

    pub fn index(&self) -> usize {
        usize::from(self.header.index)
    }

    /// Writes the next blocks; stripes come in order.
    pub fn write_blocks(&mut self, first: u64, blocks: &[&[u8]]) -> io::Result<()> {
        for (block, stripe) in blocks.iter().zip(first..) {
            self.sums
                .extend_from_slice(&layout::block_sum(&self.key, stripe, block));
        }
        self.member.step()?;
        let mut offset = self.header.geometry.block_offset(first);
        let mut slices: Vec<IoSlice<'_>> = blocks.iter().map(|b| IoSlice::new(b)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written =
                rustix::io::retry_on_intr(|| rustix::io::pwritev(&self.file, rest, offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    /// Lets the disk begin with what was written from block `first` on, so
    /// that [`Self::finish`] waits for less.
    pub fn hurry(&self, first: u64) {
        let from = self.header.geometry.block_offset(first);
        // Advice only. Linux starts writing out what is dirty, without waiting for it.
        let _ = rustix::fs::fadvise(&self.file, from, None, rustix::fs::Advice::DontNeed);
    }

    /// Writes the checksums and makes the content durable, so that the name
    /// given to it next never stands for less than the whole.
    pub fn finish(&mut self) -> io::Result<()> {
        self.member.step()?;
        self.file.write_all_at(&self.sums, HEADER as u64)?;
        self.file.sync_data()
    }

    /// Gives the shard its name; answers where it lies.
    pub fn settle(mut self) -> io::Result<PathBuf> {
        let temp = self.temp.as_deref().unwrap_or(Path::new(""));
        let ShardHeader { name, geometry, .. } = &self.header;
        let path = self.member.settle(temp, name, geometry, self.first)?;
        self.temp = None;
        Ok(path)
    }
}

impl Drop for ShardWriter {
    fn drop(&mut self) {
        if let Some(temp) = self.temp.take() {
            let _ = self.member.remove_file(&temp);
        }
    }
}

/// A shard whose header is good.
pub(super) struct Shard {
    pub member: Arc<Member>,
    pub path: PathBuf,
    pub header: ShardHeader,
    key: [u8; 32],
    file: File,
    sums: Vec<u8>,
    /// The file has another length than its header demands.
    pub wrong_length: bool,
}

/// Why a block cannot be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its bytes are not what was written.
    Corrupt,
    /// It could not be read.
    Io(io::Error),
}

impl Shard {
    /// Opens a shard file and checks that it is what its place says.
    pub fn open(member: &Arc<Member>, path: &Path, name: &Name, pool: &[u8; 16]) -> Result<Self> {
        let what = path.display();
        let io = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::new(Kind::Corrupt, format!("shard {what} is cut short"))
            }
            _ => Error::io(format_args!("reading shard {what}"), e),
        };
        let file = File::open(path).map_err(io)?;
        let mut head = [0u8; HEADER];
        read_at(&file, &mut head, 0).map_err(io)?;
        let header = ShardHeader::decode(&head, &what)?;
        if &header.pool != pool {
            return Err(Error::new(
                Kind::Corrupt,
                format!("shard {what} belongs to another pool"),
            ));
        }
        if &header.name != name {
            return Err(Error::new(
                Kind::Corrupt,
                format!("shard {what} is a part of {}, not of {name}", header.name),
            ));
        }
        let length = file.metadata().map_err(io)?.len();
        let mut shard = Self {
            member: Arc::clone(member),
            path: path.to_owned(),
            key: layout::block_key(&head),
            file,
            sums: Vec::new(),
            wrong_length: length != header.geometry.file_len(),
            header,
        };
        // The table of a short file is bounded by the file, not by what the
        // header claims.
        let table = header.geometry.body().min(length) - HEADER as u64;
        shard.sums = vec![0; usize::try_from(table).unwrap_or(0)];
        read_at(&shard.file, &mut shard.sums, HEADER as u64).map_err(io)?;
        Ok(shard)
    }

    pub fn index(&self) -> usize {
        usize::from(self.header.index)
    }

    pub fn geometry(&self) -> &Geometry {
        &self.header.geometry
    }

    /// Reads one whole block (`buf` has its length) and verifies it.
    pub fn read_block(&self, stripe: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let at = usize::try_from(stripe).unwrap_or(usize::MAX);
        let sum = at
            .checked_mul(SUM)
            .and_then(|from| self.sums.get(from..from.checked_add(SUM)?))
            .ok_or(Fault::Corrupt)?;
        match read_at(&self.file, buf, self.geometry().block_offset(stripe)) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Fault::Corrupt),
            Err(e) => return Err(Fault::Io(e)),
        }
        if layout::block_sum(&self.key, stripe, buf) == sum {
            Ok(())
        } else {
            Err(Fault::Corrupt)
        }
    }

    /// Appends `len` bytes of the blocks, from byte `from` of them on, unproven.
    pub fn append(&self, from: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let (start, end) = (out.len(), out.len() + len);
        let begin = self.geometry().body() + from;
        // Into memory that was not cleared first, if there is room for just this.
        while out.len() < end && out.capacity() == end {
            let at = begin + (out.len() - start) as u64;
            let spare = || rustix::io::pread(&self.file, spare_capacity(out), at);
            if rustix::io::retry_on_intr(spare)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let read = out.len();
        out.resize(end, 0);
        read_at(&self.file, &mut out[read..], begin + (read - start) as u64)
    }

    /// Reads every block; the numbers of those that are bad.
    pub fn bad_blocks(&self) -> Result<u64, io::Error> {
        let mut buf = vec![0u8; BLOCK];
        let mut bad = 0;
        for stripe in 0..self.geometry().stripes() {
            match self.read_block(stripe, &mut buf[..self.geometry().block_len(stripe)]) {
                Ok(()) => {}
                Err(Fault::Corrupt) => bad += 1,
                Err(Fault::Io(e)) => return Err(e),
            }
        }
        Ok(bad)
    }
}
