//! Disks that fail in part: sectors that cannot be read, a disk that comes and
//! goes, a disk that says it has written and has not.

use std::collections::BTreeMap;

use crate::guest::{Disk, Guest, Kit};
use crate::power::{BACK_UP, COLCA, change, listed, mount_all, restores, set_up};

/// MiB of a member.
const MEMBER: u64 = 256;

fn disks(folder: &std::path::Path) -> Vec<Disk> {
    let sizes = [512, MEMBER, MEMBER, MEMBER, MEMBER, 64];
    let one = |(n, mib): (usize, &u64)| Disk::blank(folder, &format!("disk{n}"), *mib).unwrap();
    sizes.iter().enumerate().map(one).collect()
}

/// Everything committed comes back.
fn all_restore(guest: &mut Guest, committed: &BTreeMap<String, String>) {
    for (id, digest) in committed {
        restores(guest, id, digest);
    }
}

/// Backs up what is new; the snapshots there are afterwards, with their digests.
fn back_up(guest: &mut Guest, committed: &mut BTreeMap<String, String>) {
    let digest = change(guest).unwrap();
    guest.run(BACK_UP).unwrap();
    for id in listed(guest) {
        committed.entry(id).or_insert_with(|| digest.clone());
    }
}

#[test]
fn bad_sectors_cost_nothing() {
    let work = tempfile::tempdir().unwrap();
    let kit = Kit::make(work.path()).unwrap();
    let mut disks = disks(work.path());
    let mut guest = Guest::boot(&kit, work.path(), &disks).unwrap();
    // Without a journal, so that what is hit is mostly what the pool stored.
    set_up(&mut guest, "^has_journal").unwrap();
    let mut committed = BTreeMap::new();
    back_up(&mut guest, &mut committed);
    back_up(&mut guest, &mut committed);
    guest.run("sync").unwrap();
    drop(guest);

    // A sector in every 256 KiB of one member, beyond the file system's own tables at the front.
    disks[2].bad_sectors = (16 << 11..MEMBER << 11).step_by(512).collect();
    let mut guest = Guest::boot(&kit, work.path(), &disks).unwrap();
    guest.run(&mount_all()).unwrap();
    all_restore(&mut guest, &committed);
    let said = guest.try_run(&format!("{COLCA} verify --data")).unwrap();
    assert!(matches!(said.code, 0 | 3), "{}", said.text());
    assert!(!said.text().contains("lost"), "{}", said.text());
    back_up(&mut guest, &mut committed);
    all_restore(&mut guest, &committed);
    // Otherwise nothing would have been tried.
    let console = guest.cut();
    assert!(console.contains("I/O error, dev vdc"), "{console}");
}

/// Puts a layer between member `c` and its disk; `how` are dm-flakey's words after the device.
fn unreliable(guest: &mut Guest, how: &str) {
    guest.run("umount /disk/c").unwrap();
    guest
        .run(&format!(
            "dmsetup create --noudevsync shaky --table \"0 $(cat /sys/block/vdc/size) flakey /dev/vdc {how}\" \
             && dmsetup mknodes && mount /dev/mapper/shaky /disk/c"
        ))
        .unwrap();
}

/// Works on while member `c` is shaky, then with its disk as it is left.
fn shaken(how: &str) {
    let work = tempfile::tempdir().unwrap();
    let kit = Kit::make(work.path()).unwrap();
    let disks = disks(work.path());
    let mut guest = Guest::boot(&kit, work.path(), &disks).unwrap();
    set_up(&mut guest, "has_journal").unwrap();
    let mut committed = BTreeMap::new();
    back_up(&mut guest, &mut committed);
    unreliable(&mut guest, how);
    for _ in 0..3 {
        back_up(&mut guest, &mut committed);
        all_restore(&mut guest, &committed);
        guest.run("sleep 1").unwrap();
    }
    guest.run("sync || true").unwrap();
    drop(guest);

    // Nothing but the disk as it is now, after a power cut on top.
    let mut guest = Guest::boot(&kit, work.path(), &disks).unwrap();
    guest
        .try_run("e2fsck -fy /dev/vdc > /tmp/e2fsck 2>&1")
        .unwrap();
    guest.run(&mount_all()).unwrap();
    all_restore(&mut guest, &committed);
    let said = guest.try_run(&format!("{COLCA} verify --data")).unwrap();
    assert!(matches!(said.code, 0 | 3), "{}", said.text());
    let said = guest.try_run(&format!("{COLCA} verify --data")).unwrap();
    assert_eq!(said.code, 0, "the second verification: {}", said.text());
    back_up(&mut guest, &mut committed);
    all_restore(&mut guest, &committed);
}

#[test]
fn a_disk_that_comes_and_goes_costs_nothing() {
    // One second works, one second every request fails.
    shaken("0 1 1");
}

#[test]
fn a_disk_that_drops_writes_costs_nothing() {
    // One second works, one second writes are lost without an error.
    shaken("0 1 1 1 drop_writes");
}
