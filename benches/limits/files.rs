//! What the kernel does with files.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RawDir, StatxFlags, Timespec, Timestamps, fchmod, futimens, openat,
    statx,
};

use crate::bytes::Stored;
use crate::sample::{self, Sample};
use crate::timing::{Share, Stage, stage, timed};

/// Bytes read or written at once.
const PIECE: usize = 1 << 20;

/// Lists every folder of the whole tree and asks every entry for its attributes.
pub fn walk(sample: &Sample, threads: usize) -> io::Result<Stage> {
    let entries = AtomicUsize::new(0);
    let list = |share: Share| -> io::Result<()> {
        let mut buffer = Vec::with_capacity(64 << 10);
        let mut seen = 0;
        for path in share.part(&sample.all_folders) {
            let folder = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
            let mut names = RawDir::new(&folder, buffer.spare_capacity_mut());
            while let Some(entry) = names.next() {
                let entry = entry?;
                let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    statx(&folder, entry.file_name(), flags, StatxFlags::BASIC_STATS)?;
                    seen += 1;
                }
            }
        }
        entries.fetch_add(seen, Ordering::Relaxed);
        Ok(())
    };
    list(Share { number: 0, of: 1 })?;
    let amount = entries.load(Ordering::Relaxed) as f64;
    let pass = |share: Share, ()| timed(|| list(share));
    Ok(Stage {
        per_file: true,
        ..stage("walk", amount, threads, |_| Ok(()), pass)?
    })
}

/// Opens, reads and closes every sampled file; they are in the page cache.
/// A large file is read in pieces by all threads.
pub fn read(sample: &Sample, threads: usize) -> io::Result<Stage> {
    let mut pieces = Vec::new();
    for folder in &sample.folders {
        for (name, size) in &folder.files {
            let path = folder.path.join(name);
            for piece in pieces_of(*size) {
                pieces.push((path.clone(), piece));
            }
        }
    }
    let amount = sample.bytes.len() as f64;
    let ready = |_| Ok(vec![0u8; 8 * PIECE]);
    stage("read", amount, threads, ready, |share, mut buffer| {
        timed(|| {
            for (path, piece) in share.part(&pieces) {
                let file = openat(CWD, path, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())?;
                let mut at = piece.start;
                while at < piece.end {
                    let room = piece.end - at;
                    match rustix::io::pread(&file, &mut buffer[..room], at as u64)? {
                        0 => break,
                        n => at += n,
                    }
                }
            }
            Ok(())
        })
    })
}

/// A file as it is read or written: at once, or a large one in pieces.
fn pieces_of(size: usize) -> Vec<Range<usize>> {
    match size <= 8 * PIECE {
        true => std::iter::once(0..size).collect(),
        false => (0..size)
            .step_by(PIECE)
            .map(|at| at..size.min(at + PIECE))
            .collect(),
    }
}

/// Writes what is stored into files below `dir` and makes them durable, and
/// reads them from the page cache.
pub fn store_and_load(stored: &Stored, dir: &Path, threads: usize) -> io::Result<[Stage; 2]> {
    let amount = stored.bytes.len() as f64;
    let pieces: Vec<&[u8]> = stored.bytes.chunks(PIECE).collect();
    let path = |share: Share| dir.join(format!("store-{}-{}", share.of, share.number));
    let write = |share: Share| -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
        let file = openat(CWD, path(share), flags, Mode::from_raw_mode(0o600))?;
        for piece in share.part(&pieces) {
            let mut rest = *piece;
            while !rest.is_empty() {
                let n = rustix::io::write(&file, rest)?;
                rest = &rest[n..];
            }
        }
        Ok(rustix::fs::fdatasync(&file)?)
    };
    // A new file each time, as a segment is.
    let gone = |share: Share| match std::fs::remove_file(path(share)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    };
    let store = stage("store", amount, threads, gone, |share, ()| {
        timed(|| write(share))
    })?;
    let load = stage("load", amount, threads, write, |share, ()| {
        let mut buffer = vec![0; PIECE];
        timed(|| {
            let file = openat(CWD, path(share), OFlags::RDONLY, Mode::empty())?;
            while rustix::io::read(&file, &mut buffer)? > 0 {}
            Ok(())
        })
    })?;
    Ok([store, load])
}

/// Makes the sampled files in memory: create, write, mode, time.
pub fn create(sample: &Sample, memory: &Path, threads: usize) -> io::Result<Stage> {
    let time = Timespec {
        tv_sec: 1_700_000_000,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    for (n, folder) in sample.folders.iter().enumerate() {
        for (i, (_, size)) in folder.files.iter().enumerate() {
            let path = memory.join(n.to_string()).join(i.to_string());
            for piece in pieces_of(*size) {
                pieces.push((path.clone(), start, piece));
            }
            start += size;
        }
    }
    let ready = |share: Share| match share.number {
        // While the first makes the folders the others wait at the barrier.
        0 => sample::make_folders(sample, memory),
        _ => Ok(()),
    };
    let amount = sample.bytes.len() as f64;
    stage("create", amount, threads, ready, |share, ()| {
        timed(|| {
            for (path, start, piece) in share.part(&pieces) {
                let flags = OFlags::CREATE | OFlags::WRONLY;
                let file = openat(CWD, path, flags, Mode::from_raw_mode(0o600))?;
                let mut at = piece.start;
                while at < piece.end {
                    let rest = &sample.bytes[start + at..start + piece.end];
                    at += rustix::io::pwrite(&file, rest, at as u64)?;
                }
                fchmod(&file, Mode::from_raw_mode(0o644))?;
                futimens(&file, &times)?;
            }
            Ok(())
        })
    })
}
