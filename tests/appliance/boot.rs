//! The finished image from its first start to its second: sealed root, two
//! equal slots, state made and kept, the daemon confined and answering, disks
//! coming and going while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::harness::qemu::Machine;

/// The image under test: `COLCA_IMAGE`, or what `image/build` makes.
pub fn image() -> PathBuf {
    std::env::var_os("COLCA_IMAGE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("out/colca.raw"),
        PathBuf::from,
    )
}

#[test]
fn a_new_box_boots_sealed_and_confined_and_keeps_its_state() {
    let mut machine = Machine::builder(&image())
        .disk("COLCA-DISK-1", 1 << 30)
        .disk("COLCA-DISK-2", 1 << 30)
        .start()
        .unwrap();
    let m = &mut machine;
    comes_up_whole(m);
    root_is_sealed(m);
    slots_are_equal(m);
    nobody_can_log_in(m);
    daemon_is_confined(m);
    helper_mounts_reach_the_daemon(m);
    panel_answers_and_the_console_names_it(m);
    disks_come_and_go(m);

    let identity = m.shell("cat /etc/machine-id").unwrap();
    m.shell("echo kept > /var/lib/boot-test && sync").unwrap();
    m.reboot().unwrap();
    comes_up_whole(m);
    assert_eq!(
        m.shell("cat /etc/machine-id").unwrap(),
        identity,
        "the box must stay itself"
    );
    assert_eq!(m.shell("cat /var/lib/boot-test").unwrap(), "kept");
    assert_eq!(
        m.shell("journalctl --list-boots | tail -n +2 | wc -l")
            .unwrap(),
        "2",
        "the journal persists"
    );

    m.power_cut();
    m.boot().unwrap();
    comes_up_whole(m);
    assert_eq!(m.shell("cat /var/lib/boot-test").unwrap(), "kept");
}

/// Everything that should run runs, and boot counting has taken note.
fn comes_up_whole(m: &mut Machine) {
    let state = m
        .agent_within(
            "systemctl is-system-running --wait",
            Duration::from_secs(600),
        )
        .unwrap()
        .text();
    let failed = m.shell("systemctl --failed --no-legend --plain").unwrap();
    assert_eq!(
        state,
        "running",
        "failed units: {failed}\n{}",
        m.shell("journalctl -b -p warning --no-pager").unwrap()
    );
    m.shell(
        "systemctl is-active multi-user.target colca.service colca.socket colca-disk-helper.socket",
    )
    .unwrap();
    // A blessed entry has lost its counter.
    assert_eq!(
        m.shell("cd /boot/EFI/Linux && echo *")
            .unwrap()
            .matches('+')
            .count(),
        0,
        "the boot is not blessed"
    );
    let state = m
        .shell("findmnt --noheadings --output SOURCE,FSTYPE,OPTIONS /var")
        .unwrap();
    assert!(
        state.contains("ext4 rw,nosuid,nodev,noexec"),
        "state is mounted as '{state}'"
    );
    assert_eq!(
        m.shell("lsblk --noheadings --output PARTLABEL $(findmnt -no SOURCE /var)")
            .unwrap(),
        "colca-state"
    );
}

fn root_is_sealed(m: &mut Machine) {
    let dm = m
        .shell("cat /sys/block/dm-0/dm/uuid; findmnt -no FSTYPE,OPTIONS,SOURCE /")
        .unwrap();
    assert!(
        dm.starts_with("CRYPT-VERITY-"),
        "the root is not under dm-verity: {dm}"
    );
    assert!(
        dm.contains("erofs") && dm.contains("ro,") && dm.contains("/dev/mapper/root"),
        "{dm}"
    );
    for path in ["/usr/bin/colca", "/etc/passwd"] {
        let write = m.agent(&format!("echo x >> {path}")).unwrap();
        assert_ne!(write.code, 0, "{path} could be written");
    }
}

fn slots_are_equal(m: &mut Machine) {
    let partitions: Value =
        serde_json::from_str(&m.shell("sfdisk --json /dev/vda").unwrap()).unwrap();
    let sizes = |kind: &str| -> Vec<u64> {
        let all = partitions["partitiontable"]["partitions"]
            .as_array()
            .unwrap();
        all.iter()
            .filter(|p| p["type"] == kind)
            .map(|p| p["size"].as_u64().unwrap())
            .collect()
    };
    // Type ids of the Discoverable Partitions Specification for x86-64: root, its verity tree, the tree's signature.
    for kind in [
        "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
        "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5",
        "41092B05-9FC8-4523-994F-2DEF0408B176",
    ] {
        let slots = sizes(kind);
        assert_eq!(slots.len(), 2, "partitions of type {kind}: {partitions}");
        assert_eq!(slots[0], slots[1], "slots of type {kind} differ");
    }
}

fn nobody_can_log_in(m: &mut Machine) {
    assert_eq!(
        m.shell("awk -F: '$2 !~ /^[!*]/' /etc/shadow").unwrap(),
        "",
        "an account has a usable password"
    );
    let running = m
        .shell("systemctl list-units --state=active,activating,failed --plain --no-legend '*getty@*' 'ssh*'")
        .unwrap();
    assert_eq!(running, "", "something offers a login");
    assert_ne!(m.agent("command -v sshd").unwrap().code, 0);
    let ports = m
        .shell("cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\" {print $2}'")
        .unwrap();
    let open: Vec<u16> = ports
        .lines()
        .map(|l| u16::from_str_radix(l.rsplit(':').next().unwrap(), 16).unwrap())
        .collect();
    // 53: the name resolver, on loopback only. 5355 would be LLMNR.
    assert!(
        open.iter().all(|port| [443, 53].contains(port)),
        "listening TCP ports: {open:?}"
    );
}

fn daemon_is_confined(m: &mut Machine) {
    assert_eq!(
        m.shell("ps_user=$(stat -c %U /proc/$(systemctl show -P MainPID colca)); echo $ps_user")
            .unwrap(),
        "colca"
    );
    let report: Value = serde_json::from_str(
        &m.shell("systemd-analyze security --no-pager --json=short")
            .unwrap(),
    )
    .unwrap();
    for (unit, limit) in [("colca.service", 2.5), ("colca-disk-helper.service", 5.5)] {
        let exposure = exposure(m, &report, unit);
        assert!(
            exposure < limit,
            "{unit} is exposed at {exposure}, the limit is {limit}"
        );
    }
    let log = m
        .shell("journalctl -b --no-pager --unit colca.service --output cat")
        .unwrap();
    assert!(
        log.lines().any(|l| !l.contains("Colca backup daemon")),
        "the daemon logged nothing itself: {log}"
    );
}

/// The exposure that `systemd-analyze security` measures.
pub fn exposure(m: &mut Machine, report: &Value, unit: &str) -> f64 {
    let listed = report
        .as_array()
        .and_then(|all| all.iter().find(|u| u["unit"] == unit));
    if let Some(text) = listed.and_then(|u| u["exposure"].as_str()) {
        return text.parse().unwrap();
    }
    // Units that are not loaded just now are missing from the list.
    let text = m
        .shell(&format!(
            "systemd-analyze security --no-pager {unit} | tail -n 1"
        ))
        .unwrap();
    text.split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap()
}

/// The helper works in the system's own mount namespace, and what is mounted there while the daemon runs shows up in the
/// daemon's private one.
fn helper_mounts_reach_the_daemon(m: &mut Machine) {
    m.shell("systemctl start colca-disk-helper.service")
        .unwrap();
    let same = "test $(readlink /proc/$(systemctl show -P MainPID colca-disk-helper)/ns/mnt) = $(readlink /proc/1/ns/mnt)";
    m.shell(same).unwrap();
    let daemon = "nsenter --mount --target $(systemctl show -P MainPID colca)";
    m.shell("mkdir /run/colca/disks/test && mount -t tmpfs -o uid=colca,gid=colca boot-test /run/colca/disks/test").unwrap();
    m.shell(&format!("{daemon} setpriv --reuid colca --regid colca --clear-groups touch /run/colca/disks/test/file"))
        .unwrap();
    assert_eq!(m.shell("ls /run/colca/disks/test").unwrap(), "file");
    let outside = m
        .agent(&format!("{daemon} touch /run/colca/file /usr/file"))
        .unwrap();
    assert_ne!(outside.code, 0, "the daemon can write outside its folders");
    m.shell("umount /run/colca/disks/test && rmdir /run/colca/disks/test")
        .unwrap();
    m.shell(&format!("! {daemon} mountpoint /run/colca/disks/test"))
        .unwrap();
}

fn panel_answers_and_the_console_names_it(m: &mut Machine) {
    let tls = ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .disable_verification(true)
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into();
    let url = format!("https://127.0.0.1:{}/api/v1/status", m.https_port);
    let status: Value = agent
        .get(&url)
        .call()
        .unwrap()
        .body_mut()
        .read_json()
        .unwrap();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["claimed"], false);

    let presented = m
        .shell("openssl s_client -connect 127.0.0.1:443 < /dev/null 2> /dev/null | openssl x509 -noout -fingerprint -sha256")
        .unwrap();
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_hexdigit)
            .collect::<String>()
            .to_lowercase()
    };
    let presented = digits(presented.split('=').next_back().unwrap());
    assert_eq!(presented.len(), 64);
    let console = m.serial_log();
    assert!(
        digits(&console).contains(&presented),
        "the console does not show the certificate's fingerprint:\n{console}"
    );
}

fn disks_come_and_go(m: &mut Machine) {
    let serials = "lsblk --nodeps --noheadings --output SERIAL";
    let present = m.shell(serials).unwrap();
    for serial in ["COLCA-SYSTEM", "COLCA-DISK-1", "COLCA-DISK-2"] {
        assert!(present.contains(serial), "{serial} is not among {present}");
    }
    m.unplug("COLCA-DISK-1").unwrap();
    assert!(!m.shell(serials).unwrap().contains("COLCA-DISK-1"));
    m.plug("COLCA-DISK-1").unwrap();
    m.wait_for(
        &format!("{serials} | grep COLCA-DISK-1"),
        Duration::from_secs(120),
    )
    .unwrap();
}
