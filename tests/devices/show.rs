//! A disk that is to be found, and one that is asked to test itself.

use std::time::{Duration, Instant};

use colca::devices::helper::Machine;
use colca::devices::{Devices, Sign};
use colca::engine::Kind;

use super::{Loop, root_dir};

/// Sectors read from a block device since it is there.
fn sectors_read(name: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
    stat.split_whitespace().nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_disk_without_a_light_is_read_in_bursts() {
    let dir = root_dir();
    let device = Loop::new(dir.path(), "disk");
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &[&device.name]);
    let sign = machine.identify(&device.name).unwrap();
    // Asked again while it shows itself, nothing else happens.
    assert_eq!(machine.identify(&device.name).unwrap(), sign);
    assert_eq!(sign, Sign::Activity);
    // For three seconds: when was it read, when not?
    let (mut busy, mut quiet) = (0, 0);
    let mut before = sectors_read(&device.name);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(100));
        let now = sectors_read(&device.name);
        match now > before {
            true => busy += 1,
            false => quiet += 1,
        }
        before = now;
    }
    println!("read in {busy} tenths of a second, rested in {quiet}");
    assert!(busy >= 5 && quiet >= 5, "read {busy}, rested {quiet}");
    let e = machine.identify("no such disk").unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
}

#[test]
fn a_disk_without_self_tests_says_so() {
    let dir = root_dir();
    let device = Loop::new(dir.path(), "disk");
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &[&device.name]);
    let e = machine.self_test(&device.name, false).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("short self-test"), "{e}");
    let e = machine.self_test("no such disk", true).unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
}
