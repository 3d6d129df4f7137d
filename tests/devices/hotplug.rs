//! Disks that come and go while the box runs, on loop devices and on folders.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use colca::appliance::tpm;
use colca::devices::helper::Machine;
use colca::devices::{Change, Devices, folders};
use colca::pool::{MemberState, PoolState};
use colca::service::{NewPool, Options, Service};

use super::{Loop, bays, root_dir, run};

/// How soon a person sees that a disk came or went.
const SOON: Duration = Duration::from_secs(2);

/// Waits until something is so; panics if it is not soon.
#[track_caller]
fn soon(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < SOON, "not within two seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{what}: after {} ms", began.elapsed().as_millis());
}

/// A box with a pool 2+1 on these disks.
fn service(dir: &std::path::Path, devices: Box<dyn Devices>, disks: &[&str]) -> Arc<Service> {
    let options = Options {
        state: dir.join("state"),
        devices,
        sealer: tpm::direct(),
    };
    let service = Service::open(options).unwrap();
    let new = NewPool {
        redundancy: "2+1".into(),
        disks: disks.iter().map(|&d| d.into()).collect(),
        spares: Vec::new(),
        confirm: Vec::new(),
    };
    service.create_pool(&new).unwrap();
    service
}

#[test]
fn the_kernel_tells_of_loop_devices() {
    let dir = root_dir();
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &[]);
    let mut changes = machine.changes().unwrap();
    let began = Instant::now();
    let device = Loop::new(dir.path(), "disk");
    assert_eq!(changes.wait(SOON).unwrap(), Some(Change::Disk));
    assert!(began.elapsed() < SOON);
    // Other tests have disks that come and go as well; a wish is no change.
    let hush = Instant::now() + SOON;
    while changes.wait(Duration::from_millis(300)).unwrap().is_some() && Instant::now() < hush {}
    // Everything is heard, also what was said before anybody asked.
    drop(device);
    std::thread::sleep(Duration::from_millis(100));
    assert!(changes.wait(SOON).unwrap().is_some());
}

#[test]
fn a_member_that_loses_its_mount_is_back_within_two_seconds_of_the_kernels_word() {
    let dir = root_dir();
    let loops: Vec<Loop> = ["a", "b", "c"].map(|n| Loop::new(dir.path(), n)).into();
    let names: Vec<&str> = loops.iter().map(|l| l.name.as_str()).collect();
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &names);
    let service = service(dir.path(), Box::new(machine), &names);
    let status = || service.pool().unwrap().status;
    let paths: Vec<_> = status()
        .members
        .into_iter()
        .map(|m| m.path.unwrap())
        .collect();
    for path in &paths {
        let path = path.to_str().unwrap();
        // The disk cannot be pulled, but its file system can.
        run("umount", &["--lazy", path]);
        assert_eq!(status().state, PoolState::Degraded);
        // Another disk comes and goes, which is reason enough to look at all.
        let elsewhere = root_dir();
        drop(Loop::new(elsewhere.path(), "other"));
        soon("mounted and a member again", || {
            status().state == PoolState::Ok
        });
        run("mountpoint", &["-q", path]);
    }
    service.stop(Duration::from_secs(5));
}

#[test]
fn a_pulled_disk_is_missing_and_back_within_two_seconds_in_whatever_bay() {
    let dir = bays(3);
    let root = dir.path().to_path_buf();
    let state = tempfile::tempdir().unwrap();
    let service = service(state.path(), folders(&root), &["DEV1", "DEV2", "DEV3"]);
    let missing = || {
        let members = service.pool().unwrap().status.members;
        let missing = |m: &&colca::pool::MemberStatus| m.state == MemberState::Missing;
        members.iter().find(missing).map(|m| m.label.clone())
    };
    // More than once, so that the slow look does not come in time by chance.
    for (from, to) in [(1, 7), (7, 4), (4, 1)] {
        let pulled = root.join("pulled");
        fs::rename(root.join(format!("disk{from}")), &pulled).unwrap();
        soon("missing", || missing().as_deref() == Some("DEV1"));
        fs::rename(&pulled, root.join(format!("disk{to}"))).unwrap();
        soon("back", || missing().is_none());
    }
    service.stop(Duration::from_secs(5));
}
