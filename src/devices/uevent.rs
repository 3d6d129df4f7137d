//! Disks that come and go, as the kernel itself says it.
//!
//! The kernel broadcasts every change of a device on a netlink socket that any
//! user may listen on, so this needs no privilege and runs in the daemon. The
//! words of a message only decide whether to look: what is there is always
//! asked anew, and a message that was lost is nothing but a reason to look.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBuf, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{Change, Changes};
use crate::engine::{Error, Result};

/// The group on which the kernel speaks; udev's repetition is another.
const KERNEL: u32 = 1;
/// Longest message of the kernel: 2 KiB of variables and a path.
const LONGEST: usize = 8 << 10;
/// Room for the messages of a whole shelf of disks at once.
const ROOM: usize = 1 << 20;

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Add,
    Remove,
    Change,
}

/// A message about a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub action: Action,
    /// Kernel name, e.g. `sda1`.
    pub name: String,
    /// A whole disk, not a partition.
    pub whole: bool,
}

/// A message of the kernel: `add@/devices/…` and `KEY=value` lines, each ended
/// by a zero byte. `None` for what is no change of a disk or of a partition.
///
/// What is only repeated on somebody's wish (`SYNTH_UUID`) is none either: udev
/// wishes it whenever a program that might have written closes a disk, which
/// asking for SMART does, so looking would never end.
pub(super) fn parse(message: &[u8]) -> Option<Event> {
    let mut lines = message.split(|b| *b == 0);
    // udev's messages begin otherwise.
    let head = std::str::from_utf8(lines.next()?).ok()?;
    let (action, path) = head.split_once('@')?;
    let mut name = None;
    let (mut block, mut kind) = (false, None);
    for line in lines {
        let Ok(line) = std::str::from_utf8(line) else {
            continue;
        };
        match line.split_once('=') {
            Some(("SUBSYSTEM", subsystem)) => block = subsystem == "block",
            Some(("DEVTYPE", "disk")) => kind = Some(true),
            Some(("DEVTYPE", "partition")) => kind = Some(false),
            Some(("SYNTH_UUID", _)) => return None,
            Some(("DEVNAME", device)) => name = Some(device),
            _ => {}
        }
    }
    let name = name.or_else(|| path.rsplit('/').next())?;
    // Never a disk of the box, and some of them change all the time.
    let never = ["ram", "zram", "sr", "fd", "nbd", "md", "dm-"];
    let whole = kind?;
    if !block || name.is_empty() || never.iter().any(|n| name.starts_with(n)) {
        return None;
    }
    let action = match action {
        "add" | "bind" | "online" => Action::Add,
        "remove" | "unbind" | "offline" => Action::Remove,
        "change" | "move" => Action::Change,
        _ => return None,
    };
    Some(Event {
        action,
        name: name.to_owned(),
        whole,
    })
}

/// Listens to the kernel.
pub(super) struct Uevents {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Uevents {
    /// # Errors
    /// `Refused` where the sandbox forbids netlink sockets.
    pub fn open() -> Result<Self> {
        let failed = |e: Errno| Error::io("listening to the kernel for disks", e.into());
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkKObjectUEvent,
        )
        .map_err(failed)?;
        // As much as is allowed; what does not fit is noticed.
        let _ = setsockopt(&socket, RcvBuf, &ROOM);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL)).map_err(failed)?;
        Ok(Self {
            socket,
            buffer: vec![0; LONGEST],
        })
    }

    /// The next message about a disk; `None` when the time is over.
    fn next(&mut self, until: Instant) -> Result<Option<Change>> {
        let failed = |e: Errno| Error::io("listening to the kernel for disks", e.into());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            // Zero would mean for ever.
            let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
            let timeout = TimeVal::microseconds(micros);
            setsockopt(&self.socket, ReceiveTimeout, &timeout).map_err(failed)?;
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                // Only the kernel has number 0.
                Ok((_, from)) if from.is_none_or(|from| from.pid() != 0) => {}
                Ok((len, _)) => {
                    if let Some(event) = self.buffer.get(..len).and_then(parse) {
                        tracing::debug!(?event, "the kernel says");
                        return Ok(Some(match event.whole {
                            true => Change::Disk,
                            false => Change::Partition,
                        }));
                    }
                }
                // There were more than fit: reason enough to look.
                Err(Errno::ENOBUFS) => return Ok(Some(Change::Disk)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }
}

impl Changes for Uevents {
    fn wait(&mut self, at_most: Duration) -> Result<Option<Change>> {
        self.next(Instant::now() + at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: &[&str]) -> Vec<u8> {
        let mut bytes = lines.join("\0").into_bytes();
        bytes.push(0);
        bytes
    }

    #[test]
    fn disks_and_partitions_that_come_go_or_change_are_told() {
        let of = |action: &str, kind: &str, name: &str| {
            parse(&message(&[
                &format!("{action}@/devices/pci0000:00/ata3/host2/block/{name}"),
                &format!("ACTION={action}"),
                "SUBSYSTEM=block",
                &format!("DEVTYPE={kind}"),
                &format!("DEVNAME={name}"),
                "SEQNUM=813",
            ]))
            .map(|e| {
                assert_eq!(e.whole, kind == "disk");
                (e.action, e.name)
            })
        };
        let told = |action, name: &str| Some((action, name.to_owned()));
        assert_eq!(of("add", "disk", "sda"), told(Action::Add, "sda"));
        assert_eq!(
            of("remove", "partition", "sda1"),
            told(Action::Remove, "sda1")
        );
        assert_eq!(
            of("change", "disk", "nvme0n1"),
            told(Action::Change, "nvme0n1")
        );
        for (action, kind, name) in [
            ("sneeze", "disk", "sda"),
            ("add", "queue", "sda"),
            ("add", "disk", "dm-0"),
            ("change", "disk", "sr0"),
            ("add", "disk", ""),
        ] {
            assert_eq!(of(action, kind, name), None, "{action} {kind} {name}");
        }
        let net = message(&["add@/devices/x/net/eth0", "SUBSYSTEM=net", "DEVTYPE=disk"]);
        assert_eq!(parse(&net), None);
    }

    #[test]
    fn what_udev_only_wishes_to_hear_again_is_passed_over() {
        let lines = ["change@/devices/x/sda", "SUBSYSTEM=block", "DEVTYPE=disk"];
        assert!(parse(&message(&lines)).is_some());
        let again = [&lines[..], &["SYNTH_UUID=0", "DEVNAME=sda"]].concat();
        assert_eq!(parse(&message(&again)), None);
    }

    #[test]
    fn the_name_is_the_last_of_the_path_where_it_is_not_said() {
        let short = message(&["add@/devices/x/sdq", "SUBSYSTEM=block", "DEVTYPE=disk"]);
        assert_eq!(parse(&short).unwrap().name, "sdq");
    }

    #[test]
    fn what_is_no_message_of_the_kernel_is_passed_over() {
        for bytes in [
            &b""[..],
            b"\0\0\0",
            b"add",
            b"@",
            b"libudev\0\xfe\xed\xca\xfe",
            b"add@\xff\xfe\0SUBSYSTEM=block\0DEVTYPE=disk",
        ] {
            assert_eq!(parse(bytes), None);
        }
    }
}
