//! The life of a box: claimed, given disks, put to work on a real file server
//! and a real S3 provider, then a disk pulled, a reboot and a power cut.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::client::Client;
use crate::harness::day::{self, DISKS};
use crate::harness::facts::{self, Facts, Fidelity};
use crate::harness::peers::{Ceph, Sshd};
use crate::harness::qemu::{HOST_ADDRESS, Machine};
use crate::harness::tree;

/// What of the kernel's source the emulated box protects: a few thousand files
/// of every size, with symbolic links; the whole tree would take it an hour.
const PARTS: [&str; 5] = [
    "kernel",
    "fs/xfs",
    "include/linux",
    "scripts/dtc",
    "tools/testing/selftests/bpf",
];

/// Several times what a boot takes on a quiet machine.
const BOOT: Duration = Duration::from_secs(900);

const USER: &str = "operador";
const PASSWORD: &str = "Quipu-2026-almacén";
const SOURCE: &str = "fuentes";

#[test]
fn a_box_protects_real_data_through_a_lost_disk_a_reboot_and_a_power_cut() {
    let work = tempfile::tempdir().unwrap();
    let original = tree::unpack_kernel(work.path(), &PARTS).unwrap();
    let before = facts::read(&original, Fidelity::SFTP).unwrap();
    println!("{} entries of the kernel source to protect", before.len());
    let sshd = Sshd::start(&folder(work.path(), "sshd")).unwrap();
    let ceph = Ceph::start(&folder(work.path(), "ceph")).unwrap();

    let mut builder = Machine::builder(&crate::boot::image());
    for serial in DISKS {
        builder = builder.disk(serial, 4 << 30);
    }
    let mut machine = builder.start().unwrap();
    let mut client = Client::new(machine.https_port);
    let status = client.wait_up(BOOT).unwrap();
    assert_eq!(status["claimed"], false);

    // Claim, with the code that stands on the console and nowhere else.
    let code = day::wait_claim_code(|| machine.serial_log()).unwrap();
    client.claim("AAAA-AAAA", USER, PASSWORD).unwrap_err();
    client.claim(&code, USER, PASSWORD).unwrap();

    day::create_pool(&client).unwrap();
    assert_eq!(client.get("pool").unwrap()["state"], "ok");

    let server = day::FileServer {
        host: HOST_ADDRESS,
        port: sshd.port,
        user: &sshd.user,
        private_key: &sshd.private_key,
        path: &original,
    };
    day::add_source(&client, SOURCE, &server).unwrap();
    let job = day::back_up(&client, SOURCE, |_| {}).unwrap();
    println!("first backup: {}", job["progress"]);
    let first = day::newest(&client, SOURCE).unwrap();
    assert_eq!(first["files"].as_u64().unwrap(), entries(&before));

    let provider = day::Provider {
        endpoint: &format!("http://{HOST_ADDRESS}:{}", ceph.port),
        bucket: "colca",
        access_key: &ceph.access_key,
        secret_key: &ceph.secret_key,
    };
    let job = day::replicate(&client, &provider).unwrap();
    assert!(job["result"]["copied"].as_u64().unwrap() > 2, "{job:#}");

    // A disk is pulled out while the box runs; everything must still come back.
    machine.unplug(DISKS[1]).unwrap();
    let pool = client.post("pool/rescan", &Value::Null).unwrap();
    assert_eq!(pool["state"], "degraded", "{pool:#}");
    let restored = work.path().join("restored");
    let id = first["id"].as_str().unwrap();
    let job = day::restore(&client, id, SOURCE, &restored).unwrap();
    println!("restore without {}: {}", DISKS[1], job["progress"]);
    facts::same(&before, &facts::read(&restored, Fidelity::SFTP).unwrap()).unwrap();

    // Still one disk short, the box starts again and finds everything.
    machine.reboot().unwrap();
    client.wait_ready(BOOT).unwrap();
    client.login(USER, PASSWORD).unwrap();
    assert_eq!(client.get("pool").unwrap()["state"], "degraded");
    assert_eq!(day::newest(&client, SOURCE).unwrap()["id"], first["id"]);

    // The power goes while a backup is under way.
    let more = tree::unpack_kernel(
        &folder(work.path(), "more"),
        &["drivers/net/ethernet/intel"],
    )
    .unwrap();
    std::fs::rename(more.join("drivers"), original.join("drivers")).unwrap();
    let running = client
        .begin(
            &format!("sources/{SOURCE}/run"),
            &serde_json::json!({ "full": true }),
        )
        .unwrap();
    wait_for_bytes(&client, &running);
    machine.power_cut();
    machine.boot().unwrap();
    client.wait_ready(BOOT).unwrap();
    client.login(USER, PASSWORD).unwrap();
    assert_eq!(
        day::newest(&client, SOURCE).unwrap()["id"],
        first["id"],
        "a half backup left a snapshot"
    );
    let job = client.get(&format!("jobs/{running}")).unwrap();
    assert_eq!(job["state"], "failed", "{job:#}");
    let verify = client
        .job(
            "verify",
            &serde_json::json!({ "data": true }),
            &["done", "warnings"],
            day::PATIENCE,
        )
        .unwrap();
    assert_eq!(
        verify["result"]["errors"],
        serde_json::json!([]),
        "{verify:#}"
    );
    assert_eq!(
        client
            .bytes(&format!("snapshots/{id}/download?path=kernel/fork.c"))
            .unwrap(),
        { std::fs::read(original.join("kernel/fork.c")).unwrap() }
    );

    day::back_up(&client, SOURCE, |_| {}).unwrap();
    let second = day::newest(&client, SOURCE).unwrap();
    assert_ne!(second["id"], first["id"]);
    let after = facts::read(&original, Fidelity::SFTP).unwrap();
    assert_eq!(second["files"].as_u64().unwrap(), entries(&after));
    assert!(
        second["new_bytes"].as_u64() < second["bytes"].as_u64(),
        "{second}"
    );
}

/// What a snapshot counts: everything but the top itself.
fn entries(tree: &BTreeMap<PathBuf, Facts>) -> u64 {
    tree.len() as u64 - 1
}

fn folder(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

/// Returns once a good part of the backup is under way.
fn wait_for_bytes(client: &Client, job: &str) {
    let start = std::time::Instant::now();
    loop {
        let reading = client.get(&format!("jobs/{job}")).unwrap();
        assert_eq!(
            reading["state"], "running",
            "the backup ended before the power was cut: {reading:#}"
        );
        if reading["progress"]["stored_bytes"].as_u64() > Some(0)
            || reading["progress"]["bytes"].as_u64() > Some(8 << 20)
        {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(300), "{reading:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
