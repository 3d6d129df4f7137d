//! Providers against real servers: a plain folder, OpenSSH and Ceph's S3 gateway.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here has failed"
)]

#[path = "harness/conformance.rs"]
mod conformance;
#[path = "provider/faulty.rs"]
mod faulty;
#[path = "harness/mod.rs"]
mod harness;
#[path = "provider/lock.rs"]
mod lock;
#[path = "provider/peers.rs"]
mod peers;
#[path = "provider/conformance.rs"]
mod providers;
#[path = "provider/replication.rs"]
mod replication;
#[path = "provider/rungs.rs"]
mod rungs;
#[path = "provider/s3.rs"]
mod s3;

use std::fs;

use colca::engine::Kind;
use colca::engine::storage::{Class, Storage};
use colca::provider::Folder;
use conformance::{conforms, noise, segment};
use tempfile::TempDir;

#[test]
fn a_folder_keeps_the_contract() {
    let dir = TempDir::new().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    conforms(&folder);
    // Damage is noticed, leftovers are cleaned, foreign files are not objects.
    let bytes = noise(1, 5000);
    let name = segment(&bytes);
    folder.put(&name, &bytes).unwrap();
    fs::write(dir.path().join("segments/README"), "hello").unwrap();
    fs::write(dir.path().join("tmp/9-9"), "half").unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    assert!(!dir.path().join("tmp/9-9").exists());
    assert_eq!(folder.list(Class::Segments).unwrap(), vec![(name, 5000)]);
    let file = dir.path().join(name.to_string());
    let mut bad = bytes.clone();
    bad[77] ^= 1;
    fs::write(&file, bad).unwrap();
    let e = folder.get(&name).unwrap_err();
    assert_eq!(e.kind(), Kind::Corrupt);
    assert!(e.to_string().contains(&name.to_string()), "{e}");
    folder.put(&name, &bytes).unwrap();
    assert!(folder.get(&name).unwrap() == bytes);
    let Err(e) = Folder::open(&dir.path().join("nowhere")) else {
        panic!("opened nothing");
    };
    assert_eq!(e.kind(), Kind::Missing);
}
