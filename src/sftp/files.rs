//! Folders, names and whole files on a file server: what takes more than one
//! request.

use std::collections::VecDeque;

use super::client::{Client, Failed};
use super::lane::{Asked, Lane};
use super::wire::{Attrs, Fault, Packet, code, kind, open};
use super::{S_IFDIR, S_IFMT, show};
use crate::engine::{Error, Kind, Result};

/// Bytes under way at once, for each file.
const AHEAD: usize = 4 << 20;

/// Makes a folder with its parents; a link to a folder is as good.
pub(crate) fn make_all(client: &Client, path: &[u8]) -> Result<()> {
    let making = |f: Failed| f.say(format!("making the folder {}:{}", client.name, show(path)));
    match client.stat(path, true) {
        Ok(a) if a.permissions.is_none_or(|p| p & S_IFMT == S_IFDIR) => return Ok(()),
        Ok(_) => {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{}:{} is not a folder; give a folder",
                    client.name,
                    show(path)
                ),
            ));
        }
        Err(f) if f.is_missing() => {}
        Err(f) => return Err(making(f)),
    }
    let parent = path.rsplitn(2, |b| *b == b'/').nth(1).unwrap_or_default();
    if !parent.is_empty() {
        make_all(client, parent)?;
    }
    make_folder(client, path, 0o755).map_err(making)
}

pub(crate) fn make_folder(client: &Client, path: &[u8], mode: u32) -> Result<(), Failed> {
    let attrs = Attrs {
        permissions: Some(mode),
        ..Attrs::default()
    };
    client.on_lane(|lane| {
        lane.ask(Packet::new(kind::MKDIR).bytes(path).attrs(&attrs))?
            .done()
    })
}

/// Renames, replacing what is there.
pub(crate) fn rename(lane: &Lane, from: &[u8], to: &[u8]) -> Result<(), Fault> {
    let plain = || {
        lane.ask(Packet::new(kind::RENAME).bytes(from).bytes(to))?
            .done()
    };
    if lane.offers.posix_rename {
        return lane
            .ask(
                Packet::extended("posix-rename@openssh.com")
                    .bytes(from)
                    .bytes(to),
            )?
            .done();
    }
    // Without the extension a rename does not replace.
    match plain() {
        Err(Fault::Status(_)) => {
            lane.ask(Packet::new(kind::REMOVE).bytes(to))?.done()?;
            plain()
        }
        other => other,
    }
}

/// Writes a new file, ahead of the server's answers, and makes it durable where
/// the server can. `before` is told the bytes of each piece before it is sent,
/// and may stop the writing.
pub(crate) fn write_new(
    lane: &Lane,
    path: &[u8],
    bytes: &[u8],
    before: &dyn Fn(usize) -> Result<()>,
) -> Result<(), Failed> {
    let request = Packet::new(kind::OPEN)
        .bytes(path)
        .u32(open::WRITE | open::CREATE | open::EXCLUSIVE);
    let handle = lane
        .ask(request.attrs(&Attrs::default()))
        .and_then(|f| f.handle())
        .map_err(Failed::Fault)?;
    let written = write_all(lane, &handle, bytes, before);
    if written.is_err() {
        lane.close(&handle);
        return written;
    }
    let synced = match lane.offers.fsync {
        true => lane
            .ask(Packet::extended("fsync@openssh.com").bytes(&handle))
            .and_then(|f| f.done()),
        false => Ok(()),
    };
    // What did not fit may be said as late as now.
    let closed = lane
        .ask(Packet::new(kind::CLOSE).bytes(&handle))
        .and_then(|f| f.done());
    synced.and(closed).map_err(Failed::Fault)
}

fn write_all(
    lane: &Lane,
    handle: &[u8],
    bytes: &[u8],
    before: &dyn Fn(usize) -> Result<()>,
) -> Result<(), Failed> {
    let longest = (lane.offers.longest_write as usize).max(1);
    let mut under_way: VecDeque<Asked> = VecDeque::new();
    let settle = |asked: Asked| asked.wait().and_then(|f| f.done()).map_err(Failed::Fault);
    let mut at = 0u64;
    for piece in bytes.chunks(longest) {
        before(piece.len()).map_err(Failed::Engine)?;
        let request = Packet::new(kind::WRITE).bytes(handle).u64(at).bytes(piece);
        under_way.push_back(lane.send(request).map_err(Failed::Fault)?);
        at += piece.len() as u64;
        if under_way.len() * longest > AHEAD
            && let Some(first) = under_way.pop_front()
        {
            settle(first)?;
        }
    }
    under_way.into_iter().try_for_each(settle)
}

/// What [`read`] found.
pub(crate) enum Read {
    /// The bytes asked for.
    Bytes(Vec<u8>),
    /// The file has only so many bytes.
    Short(u64),
}

/// Reads a whole file, or `len` bytes from `offset`.
pub(crate) fn read(lane: &Lane, path: &[u8], range: Option<(u64, usize)>) -> Result<Read, Fault> {
    let request = Packet::new(kind::OPEN).bytes(path).u32(open::READ);
    let handle = lane.ask(request.attrs(&Attrs::default()))?.handle()?;
    let found = read_open(lane, &handle, range);
    lane.close(&handle);
    found
}

fn read_open(lane: &Lane, handle: &[u8], range: Option<(u64, usize)>) -> Result<Read, Fault> {
    let attrs = lane.ask(Packet::new(kind::FSTAT).bytes(handle))?.attrs()?;
    let size = attrs
        .size
        .ok_or_else(|| Fault::Lost("the server does not say how long a file is".into()))?;
    let (offset, len) = match range {
        Some((offset, len)) => (offset, len as u64),
        None => (0, size),
    };
    if offset.checked_add(len).is_none_or(|end| end > size) {
        return Ok(Read::Short(size));
    }
    let ask = |from: u64, left: u64| {
        let piece = left.min(u64::from(lane.offers.longest_read.max(1)));
        let request = Packet::new(kind::READ)
            .bytes(handle)
            .u64(from)
            .u32(u32::try_from(piece).unwrap_or(u32::MAX));
        Ok::<_, Fault>((piece, lane.send(request)?))
    };
    // A foreign number: memory is taken as the bytes arrive.
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0).min(64 << 20));
    let (end, mut asked_to) = (offset + len, offset);
    let mut under_way: VecDeque<(u64, Asked)> = VecDeque::new();
    while offset + (bytes.len() as u64) < end {
        while asked_to < end && asked_to - offset < bytes.len() as u64 + AHEAD as u64 {
            let next = ask(asked_to, end - asked_to)?;
            asked_to += next.0;
            under_way.push_back(next);
        }
        let Some((wanted, asked)) = under_way.pop_front() else {
            break;
        };
        let frame = asked.wait()?;
        let data = frame.data()?;
        if data.is_empty() {
            return Ok(Read::Short(offset + bytes.len() as u64));
        }
        bytes.extend_from_slice(data);
        if data.len() as u64 != wanted {
            // Shorter than asked for: what follows was asked for at the wrong place.
            under_way.clear();
            asked_to = offset + bytes.len() as u64;
        }
    }
    bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
    Ok(Read::Bytes(bytes))
}

/// Names and attributes in a folder; empty if the folder is not there.
pub(crate) fn list(lane: &Lane, path: &[u8]) -> Result<Vec<(Vec<u8>, Attrs)>, Fault> {
    let opened = lane
        .ask(Packet::new(kind::OPENDIR).bytes(path))
        .and_then(|f| f.handle());
    let handle = match opened {
        Ok(handle) => handle,
        Err(fault) if fault.is(code::NO_SUCH_FILE) => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let all = || {
        let mut all = Vec::new();
        while let Some(names) = lane
            .ask(Packet::new(kind::READDIR).bytes(&handle))?
            .names()?
        {
            all.extend(names.into_iter().filter(|(n, _)| n != b"." && n != b".."));
        }
        Ok(all)
    };
    let found = all();
    lane.close(&handle);
    found
}

/// Makes the names in a folder durable, where the server can: OpenSSH opens a
/// folder like a file, and syncs what it opened.
pub(crate) fn sync_folder(lane: &Lane, path: &[u8]) -> Result<(), Fault> {
    if !lane.offers.fsync {
        return Ok(());
    }
    let request = Packet::new(kind::OPEN).bytes(path).u32(open::READ);
    let opened = lane
        .ask(request.attrs(&Attrs::default()))
        .and_then(|f| f.handle());
    let handle = match opened {
        Ok(handle) => handle,
        // Another server than OpenSSH: it has no way.
        Err(Fault::Status(_)) => return Ok(()),
        Err(fault) => return Err(fault),
    };
    let synced = lane
        .ask(Packet::extended("fsync@openssh.com").bytes(&handle))
        .and_then(|f| f.done());
    lane.close(&handle);
    synced
}
