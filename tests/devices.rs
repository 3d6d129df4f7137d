//! Disks: the helper's protocol over a real socket, folders that stand for
//! disks, and the real thing on loop devices (listing, refusing, preparing,
//! mounting, pulling out).
//!
//! Needs root, loop devices, XFS in the kernel, and util-linux and xfsprogs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use colca::devices::helper::{Machine, serve};
use colca::devices::{Contents, Devices, Disk, folders, helper_client};
use colca::engine::Kind;

#[path = "devices/hotplug.rs"]
mod hotplug;
#[path = "devices/show.rs"]
mod show;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program} is needed by this test: {e}"));
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim().to_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn disk(disks: &[Disk], name: &str) -> Disk {
    disks.iter().find(|d| d.name == name).unwrap().clone()
}

// ---------------------------------------------------------------- folders

fn bays(count: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 1..=count {
        fs::create_dir(dir.path().join(format!("disk{i}"))).unwrap();
    }
    dir
}

#[test]
fn folders_act_like_disks() {
    let dir = bays(11);
    fs::write(dir.path().join("disk2/letter"), "dear").unwrap();
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::create_dir(dir.path().join("disk007")).unwrap();
    let devices = folders(dir.path());
    let disks = devices.disks().unwrap();
    let serials: Vec<_> = disks.iter().map(|d| d.serial.as_str()).collect();
    assert_eq!(serials[..3], ["DEV1", "DEV2", "DEV3"]);
    assert_eq!(serials.len(), 11);
    assert_eq!(serials[10], "DEV11");
    assert!(disks.iter().all(|d| d.size > 0));
    assert_eq!(disks[0].contents, Contents::Blank);
    assert!(devices.mount_members().unwrap().is_empty());

    let mount = devices.prepare("DEV1", None).unwrap();
    assert_eq!(fs::read_dir(&mount).unwrap().count(), 0);
    assert_eq!(devices.mount_members().unwrap(), vec![mount.clone()]);
    let member = Contents::Member {
        pool: None,
        mount: Some(mount.clone()),
    };
    assert_eq!(devices.disks().unwrap()[0].contents, member);
    // Prepared and still empty: the same answer; in use: refused whatever is confirmed.
    assert_eq!(devices.prepare("DEV1", None).unwrap(), mount);
    fs::write(mount.join("shard"), "x").unwrap();
    let e = devices.prepare("DEV1", Some("DEV1")).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    // Data needs its own serial number as confirmation.
    for confirm in [None, Some("DEV1"), Some("")] {
        let e = devices.prepare("DEV2", confirm).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        assert!(e.to_string().contains("1 file"), "{e}");
    }
    devices.prepare("DEV2", Some("DEV2")).unwrap();
    assert!(!dir.path().join("disk2/letter").exists());
    let e = devices.prepare("DEV99", None).unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
    // Pulled out, and put into another bay.
    fs::rename(dir.path().join("disk1"), dir.path().join("pulled")).unwrap();
    assert_eq!(devices.mount_members().unwrap().len(), 1);
    fs::rename(dir.path().join("pulled"), dir.path().join("disk40")).unwrap();
    let disks = devices.disks().unwrap();
    assert_eq!(disk(&disks, "disk40").serial, "DEV1");
    assert_eq!(devices.mount_members().unwrap().len(), 2);
}

// --------------------------------------------------------------- protocol

/// A helper on a socket of its own that serves folders.
struct Served {
    dir: tempfile::TempDir,
    socket: PathBuf,
    ended: std::thread::JoinHandle<()>,
}

fn served(idle: Duration) -> Served {
    let dir = bays(3);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let devices: Arc<dyn Devices> = Arc::from(folders(dir.path()));
    let ended = std::thread::spawn(move || serve(&listener, devices, &[0], idle).unwrap());
    Served { dir, socket, ended }
}

/// Says one thing and gives all that comes back.
fn say(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    // The helper may hang up before it has taken in everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_client_gets_what_the_helper_has() {
    let served = served(Duration::from_secs(60));
    let client = helper_client(&served.socket);
    assert_eq!(
        client.disks().unwrap(),
        folders(served.dir.path()).disks().unwrap()
    );
    let mount = client.prepare("DEV2", None).unwrap();
    assert!(mount.is_dir());
    assert_eq!(client.mount_members().unwrap(), vec![mount.clone()]);
    // Errors keep kind and words.
    fs::write(mount.join("x"), "x").unwrap();
    let e = client.prepare("DEV2", Some("DEV2")).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("disk2"), "{e}");
    let e = client.prepare("nobody", None).unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
    let e = helper_client(Path::new("/nowhere/socket"))
        .disks()
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
    assert!(e.to_string().contains("colca-disk-helper.socket"), "{e}");
}

#[test]
fn several_requests_on_one_connection_are_answered_in_turn() {
    let served = served(Duration::from_secs(60));
    let answers = say(
        &served.socket,
        b"{\"request\":\"mount-members\"}\n{\"request\":\"prepare\",\"serial\":\"DEV1\",\"confirm\":null}\n{\"request\":\"mount-members\"}\n",
    );
    let lines: Vec<_> = answers.lines().collect();
    assert_eq!(lines.len(), 3, "{answers}");
    assert_eq!(lines[0], "{\"folders\":[]}");
    assert!(lines[1].starts_with("{\"folder\":\""), "{answers}");
    assert!(lines[2].contains("disk1"), "{answers}");
}

#[test]
fn malformed_and_endless_requests_are_refused() {
    let served = served(Duration::from_secs(60));
    let long = [b"{\"request\":\"", &[b'x'; 1 << 20][..], b"\"}\n"].concat();
    let long_serial = format!(
        "{{\"request\":\"prepare\",\"serial\":\"{}\",\"confirm\":null}}\n",
        "s".repeat(5000)
    );
    let bad: [&[u8]; 10] = [
        b"\n",
        b"list\n",
        b"{}\n",
        b"{\"request\":\"format\"}\n",
        b"{\"request\":\"list\",\"path\":\"/dev/sda\"}\n",
        b"{\"request\":\"prepare\"}\n",
        b"{\"request\":\"list\"}",
        b"\xff\xfe\0\n",
        &long,
        long_serial.as_bytes(),
    ];
    for bytes in bad {
        let answer = say(&served.socket, bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert!(
            answer.starts_with("{\"error\":{\"kind\":\"refused\""),
            "{shown}: {answer}"
        );
        assert_eq!(answer.lines().count(), 1, "{shown}: {answer}");
    }
    assert_eq!(say(&served.socket, b""), "");
    // It still serves.
    assert_eq!(helper_client(&served.socket).disks().unwrap().len(), 3);
}

#[test]
fn strangers_are_refused_before_they_are_listened_to() {
    let served = served(Duration::from_secs(60));
    nix::unistd::seteuid(65_534.into()).expect("this test needs root");
    let answer = say(
        &served.socket,
        b"{\"request\":\"prepare\",\"serial\":\"DEV1\",\"confirm\":null}\n",
    );
    let e = helper_client(&served.socket).disks().unwrap_err();
    nix::unistd::seteuid(0.into()).unwrap();
    assert!(answer.contains("user number 65534"), "{answer}");
    assert_eq!(e.kind(), Kind::Refused);
    assert_eq!(
        fs::read_dir(served.dir.path().join("disk1"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn it_ends_when_idle_but_not_while_somebody_is_connected() {
    let served = served(Duration::from_millis(400));
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!served.ended.is_finished());
    stream.write_all(b"{\"request\":\"list\"}\n").unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(&stream);
    reader.read_line(&mut line).unwrap();
    assert!(line.contains("DEV1"));
    drop(stream);
    let began = Instant::now();
    served.ended.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_connection_that_says_nothing_is_ended() {
    let served = served(Duration::from_secs(60));
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    stream.write_all(b"{\"request\":").unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
}

// ----------------------------------------------------------- loop devices

/// A loop device on a sparse file; unmounted and detached when dropped.
struct Loop {
    path: String,
    name: String,
    mounts: PathBuf,
    file: PathBuf,
}

impl Loop {
    fn new(dir: &Path, file: &str) -> Self {
        let file = dir.join(file);
        fs::File::create(&file).unwrap().set_len(400 << 20).unwrap();
        Self::attach(dir, file)
    }

    fn attach(dir: &Path, file: PathBuf) -> Self {
        let path = run(
            "losetup",
            &["--find", "--show", "--partscan", file.to_str().unwrap()],
        );
        Self {
            name: path.trim_start_matches("/dev/").into(),
            path,
            mounts: dir.join("mounts"),
            file,
        }
    }

    fn quietly(program: &str, arguments: &[&str]) {
        let _ = Command::new(program)
            .args(arguments)
            .stderr(std::process::Stdio::null())
            .status();
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        for mount in fs::read_dir(&self.mounts).into_iter().flatten().flatten() {
            Self::quietly("umount", &["--lazy", mount.path().to_str().unwrap()]);
        }
        Self::quietly("partx", &["--delete", &self.path]);
        Self::quietly("losetup", &["--detach", &self.path]);
    }
}

/// A folder that only root can reach, as `/run/colca` is.
fn root_dir() -> tempfile::TempDir {
    tempfile::Builder::new().tempdir_in("/run").unwrap()
}

#[test]
fn a_blank_disk_is_prepared_mounted_and_found_again() {
    let dir = root_dir();
    let disk_file = Loop::new(dir.path(), "disk");
    let name = disk_file.name.clone();
    let machine = Machine::new(dir.path().join("mounts"), (4242, 4343), &[&name]);
    let listed = disk(&machine.disks().unwrap(), &name);
    assert_eq!(listed.contents, Contents::Blank);
    assert_eq!(listed.size, 400 << 20);
    assert!(listed.serial.is_empty());

    let mount = machine.prepare(&name, None).unwrap();
    let m = fs::metadata(&mount).unwrap();
    assert_eq!((m.uid(), m.gid(), m.mode() & 0o7777), (4242, 4343, 0o700));
    let uuid = mount.file_name().unwrap().to_str().unwrap();
    assert_eq!(uuid.len(), 36);
    let options = run(
        "findmnt",
        &["-n", "-o", "FSTYPE,OPTIONS", mount.to_str().unwrap()],
    );
    for option in ["xfs", "nosuid", "nodev", "noexec", "noatime"] {
        assert!(options.contains(option), "{options}");
    }
    let table = run("sfdisk", &["--dump", &disk_file.path]).to_lowercase();
    assert!(table.contains("label: gpt"), "{table}");
    assert!(
        table.contains("type=5cfbb69b-15f5-479a-a161-15eefbee87d5"),
        "{table}"
    );
    assert!(table.contains("name=\"colca-member\""), "{table}");
    assert!(table.contains(uuid), "{table}");

    let member = Contents::Member {
        pool: None,
        mount: Some(mount.clone()),
    };
    assert_eq!(disk(&machine.disks().unwrap(), &name).contents, member);
    // Prepared and empty: again the same folder, and nothing is written.
    assert_eq!(machine.prepare(&name, None).unwrap(), mount);
    fs::write(mount.join("shard"), "precious").unwrap();
    // In use: refused, whatever is confirmed.
    for confirm in [None, Some(name.as_str())] {
        let e = machine.prepare(&name, confirm).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        assert!(e.to_string().contains("pool member in use"), "{e}");
    }
    assert_eq!(machine.mount_members().unwrap(), vec![mount.clone()]);

    // As after a restart: not mounted, then found by its identity.
    run("umount", &[mount.to_str().unwrap()]);
    fs::remove_dir(&mount).unwrap();
    let unmounted = Contents::Member {
        pool: None,
        mount: None,
    };
    assert_eq!(disk(&machine.disks().unwrap(), &name).contents, unmounted);
    assert_eq!(machine.mount_members().unwrap(), vec![mount.clone()]);
    assert_eq!(fs::read(mount.join("shard")).unwrap(), b"precious");

    // Pulled out and put back, in whichever slot.
    run("umount", &[mount.to_str().unwrap()]);
    run("partx", &["--delete", &disk_file.path]);
    assert!(machine.mount_members().unwrap().is_empty());
    run("partx", &["--add", &disk_file.path]);
    assert_eq!(machine.mount_members().unwrap(), vec![mount.clone()]);
    assert_eq!(fs::read(mount.join("shard")).unwrap(), b"precious");
}

#[test]
fn the_mount_of_a_disk_that_is_gone_is_taken_away_even_when_in_use() {
    // A loop device cannot be pulled out while it is mounted. A memory file
    // system has no block device at all, which looks the same afterwards.
    let dir = root_dir();
    let mounts = dir.path().join("mounts");
    let at = mounts.join("0f6b7e0c-4c4e-4f6a-8a55-5d3b1c2a9e11");
    let stranger = mounts.join("not a member");
    for folder in [&at, &stranger] {
        fs::create_dir_all(folder).unwrap();
        run("mount", &["-t", "tmpfs", "tmpfs", folder.to_str().unwrap()]);
    }
    fs::write(at.join("shard"), "x").unwrap();
    let open = fs::File::open(at.join("shard")).unwrap();
    let machine = Machine::new(&mounts, (0, 0), &[]);
    let members = machine.mount_members();
    run("umount", &[stranger.to_str().unwrap()]);
    assert!(members.unwrap().is_empty());
    assert!(!at.exists());
    drop(open);
}

#[test]
fn a_disk_with_data_is_wiped_only_when_confirmed() {
    let dir = root_dir();
    let disk_file = Loop::new(dir.path(), "disk");
    let name = disk_file.name.clone();
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &[&name]);
    run("mkfs.xfs", &["-q", "-L", "datos", &disk_file.path]);
    let what = Contents::Other {
        what: "xfs \"datos\"".into(),
    };
    assert_eq!(disk(&machine.disks().unwrap(), &name).contents, what);
    for confirm in [None, Some("something else")] {
        let e = machine.prepare(&name, confirm).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        assert!(e.to_string().contains("xfs \"datos\""), "{e}");
    }
    // Mounted somewhere: refused even when confirmed.
    let at = dir.path().join("elsewhere");
    fs::create_dir(&at).unwrap();
    run("mount", &[&disk_file.path, at.to_str().unwrap()]);
    fs::write(at.join("letter"), "dear").unwrap();
    let e = machine.prepare(&name, Some(&name)).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("mounted at"), "{e}");
    assert_eq!(fs::read(at.join("letter")).unwrap(), b"dear");
    run("umount", &[at.to_str().unwrap()]);

    // Held by somebody without being mounted.
    let held = std::os::unix::fs::OpenOptionsExt::custom_flags(
        fs::OpenOptions::new().read(true).write(true),
        nix::libc::O_EXCL,
    )
    .open(&disk_file.path)
    .unwrap();
    let e = machine.prepare(&name, Some(&name)).unwrap_err();
    assert_eq!(e.kind(), Kind::Busy, "{e}");
    drop(held);

    let mount = machine.prepare(&name, Some(&name)).unwrap();
    assert_eq!(fs::read_dir(&mount).unwrap().count(), 0);
    // A member that is not mounted holds data too.
    run("umount", &[mount.to_str().unwrap()]);
    let e = machine.prepare(&name, None).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    let again = machine.prepare(&name, Some(&name)).unwrap();
    assert_ne!(again, mount);
}

#[test]
fn a_copied_disk_is_not_mounted() {
    let dir = root_dir();
    let first = Loop::new(dir.path(), "first");
    let alone = Machine::new(dir.path().join("mounts"), (0, 0), &[&first.name]);
    let mount = alone.prepare(&first.name, None).unwrap();
    run("umount", &[mount.to_str().unwrap()]);
    let copy = dir.path().join("copy");
    run(
        "cp",
        &[
            "--sparse=always",
            first.file.to_str().unwrap(),
            copy.to_str().unwrap(),
        ],
    );
    let second = Loop::attach(dir.path(), copy);
    // Adds nothing where the kernel has read the table by itself.
    run("partx", &["--update", &second.path]);
    let names = [first.name.as_str(), second.name.as_str()];
    let both = Machine::new(dir.path().join("mounts"), (0, 0), &names);
    assert!(both.mount_members().unwrap().is_empty());
    drop(second);
    assert_eq!(alone.mount_members().unwrap(), [mount]);
}

#[test]
fn the_disk_this_system_runs_from_is_never_prepared() {
    let dir = root_dir();
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &[]);
    let disks = machine.disks().unwrap();
    assert!(disks.iter().all(|d| !d.name.starts_with("loop")));
    let system: Vec<_> = disks
        .iter()
        .filter(|d| d.contents == Contents::System)
        .collect();
    for d in &system {
        let identity = [&d.serial, d.wwn.as_ref().unwrap_or(&d.name), &d.name]
            .into_iter()
            .find(|s| !s.is_empty())
            .unwrap();
        let e = machine.prepare(identity, Some(identity)).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused, "{e}");
    }
    assert_eq!(
        machine.prepare("../../etc", None).unwrap_err().kind(),
        Kind::Missing
    );
}

#[test]
fn a_tool_that_fails_says_why() {
    // Too small for XFS: mkfs.xfs refuses, and its words come through.
    let dir = root_dir();
    let file = dir.path().join("small");
    fs::File::create(&file).unwrap().set_len(8 << 20).unwrap();
    let small = Loop::attach(dir.path(), file);
    let machine = Machine::new(dir.path().join("mounts"), (0, 0), &[&small.name]);
    let e = machine.prepare(&small.name, None).unwrap_err();
    assert_eq!(e.kind(), Kind::Io);
    let text = e.to_string();
    assert!(
        text.contains("mkfs.xfs") && text.contains(&small.name),
        "{text}"
    );
    assert!(
        text.to_lowercase().contains("300mb") || text.contains("too small"),
        "{text}"
    );
}
