//! One suite that a folder, SFTP (OpenSSH) and S3 (Ceph) pass: the contract of
//! a storage, and what each says when something is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use colca::engine::storage::{Class, Name, Storage};
use colca::engine::{Error, Kind, Progress};
use colca::provider::{
    Access, Config, Folder, Limits, Pace, Provider, S3, S3Config, Schedule, Sftp, Style, replicate,
};
use colca::sftp::{SftpAuth, SftpConfig};
use tempfile::TempDir;

use super::conformance::{conforms, noise, segment};
use super::faulty::Faulty;
use super::harness::peers::{Ceph, Sshd};
use super::replication::{assert_replica, fill, new_pool};

/// The folder `path` on a server, reached through `port`.
fn sftp_config(sshd: &Sshd, port: u16, path: &Path) -> SftpConfig {
    SftpConfig {
        host: "127.0.0.1".into(),
        port,
        user: sshd.user.clone(),
        auth: SftpAuth::PrivateKey(sshd.private_key.clone()),
        path: path.to_str().unwrap().into(),
        host_key: sshd.host_key.clone(),
    }
}

fn sftp(config: &SftpConfig) -> Sftp {
    Sftp::open(config, Access::default()).unwrap()
}

fn refusal(config: &SftpConfig) -> Error {
    match Sftp::open(config, Access::default()) {
        Ok(_) => panic!("it should not open"),
        Err(e) => e,
    }
}

/// An error is of a kind, and says all of this.
fn says(e: &Error, kind: Kind, words: &[&str]) {
    assert_eq!(e.kind(), kind, "{e}");
    for word in words {
        assert!(e.to_string().contains(word), "{word}: {e}");
    }
}

/// What a line that breaks or is slow does to a storage behind it, however it
/// speaks: nothing, as long as it comes back.
fn bears_a_bad_line(storage: &dyn Storage, line: &Faulty) {
    let bytes = noise(9, 5 << 20);
    let name = segment(&bytes);
    // In the middle of writing, and of reading.
    line.cut(2 << 20, 1);
    storage.put(&name, &bytes).unwrap();
    line.cut(1 << 20, 1);
    assert!(storage.get(&name).unwrap() == bytes);
    line.cut(100 << 10, 2);
    let part = storage.get_range(&name, 1 << 20, 1 << 20).unwrap();
    assert!(part == bytes[1 << 20..2 << 20]);
    line.whole();
    let listed = storage.list(Class::Segments).unwrap();
    assert_eq!(listed, vec![(name, 5 << 20)]);
    // Every piece takes its time.
    line.slow(20);
    storage.put(&Name::Header, &bytes[..300_000]).unwrap();
    assert!(storage.get(&Name::Header).unwrap() == bytes[..300_000]);
    line.slow(0);
    // To read only, nothing is changed.
    storage.delete(&name).unwrap();
    storage.delete(&Name::Header).unwrap();
    storage.sync().unwrap();
}

/// Changes are refused, and what is there can be read.
fn reads_only(config: &Config, name: &Name, bytes: &[u8]) {
    let provider = Provider::open(config, Access::reading()).unwrap();
    let storage = provider.storage();
    assert!(storage.get(name).unwrap() == bytes);
    let e = storage.put(&Name::Header, b"x").unwrap_err();
    says(&e, Kind::Refused, &["read only"]);
    says(
        &storage.delete(name).unwrap_err(),
        Kind::Refused,
        &["read only"],
    );
    assert!(storage.get(name).unwrap() == bytes);
}

/// No more than so many bytes a second go out.
fn keeps_the_pace(config: &Config) {
    let limits = Limits {
        bandwidth: Schedule::always(1 << 20),
        ..Limits::default()
    };
    let access = Access {
        pace: Pace::shared(&limits),
        read_only: false,
    };
    let provider = Provider::open(config, access.clone()).unwrap();
    let bytes = noise(11, 2 << 20);
    let began = Instant::now();
    provider.storage().put(&segment(&bytes), &bytes).unwrap();
    let took = began.elapsed().as_millis();
    assert!((1800..6000).contains(&took), "{config}: {took} ms");
    assert!(provider.storage().get(&segment(&bytes)).unwrap() == bytes);
    // Who is stopped does not wait for his turn.
    let began = Instant::now();
    std::thread::scope(|scope| {
        let big = noise(12, 30 << 20);
        let storage = provider.storage();
        let writing = scope.spawn(move || storage.put(&segment(&big), &big).unwrap_err());
        std::thread::sleep(Duration::from_millis(300));
        access.pace.stop();
        let e = writing.join().unwrap();
        assert_eq!(e.kind(), Kind::Cancelled, "{e}");
    });
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// A file system of a few MiB, unmounted when dropped.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tiny"])
            .arg(at)
            .status()
            .unwrap();
        assert!(mounted.success(), "these tests mount, as root");
        Self(at.to_owned())
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Too much for a file system of 4 MiB: said as that, and nothing is left of it.
fn is_full(storage: &dyn Storage) {
    let small = noise(1, 1 << 20);
    storage.put(&segment(&small), &small).unwrap();
    let big = noise(2, 6 << 20);
    let e = storage.put(&segment(&big), &big).unwrap_err();
    assert_eq!(e.kind(), Kind::Full, "{e}");
    let listed = storage.list(Class::Segments).unwrap();
    assert_eq!(listed, vec![(segment(&small), 1 << 20)]);
    let next = noise(3, 1 << 20);
    storage.put(&segment(&next), &next).unwrap();
    assert!(storage.get(&segment(&next)).unwrap() == next);
}

#[test]
fn a_folder_and_sftp_keep_the_contract_and_say_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    fs::create_dir(at("sshd")).unwrap();
    // Before the server starts, which sees the mounts of its beginning only.
    let (tiny, tiny_too) = (Tiny::mount(&at("tiny")), Tiny::mount(&at("tiny-too")));
    let sshd = Sshd::start(&at("sshd")).unwrap();
    let config = sftp_config(&sshd, sshd.port, &at("made/by/us"));

    conforms(&Folder::open(&at("folder")).unwrap());
    conforms(&sftp(&config));
    let (user, password) = sshd.password_user.clone().expect("these tests need root");
    let by_password = SftpConfig {
        user,
        auth: SftpAuth::Password(password),
        path: at("by-password").to_str().unwrap().into(),
        ..config.clone()
    };
    conforms(&sftp(&by_password));

    // What is there is what a folder would hold; leftovers go, damage is seen.
    let bytes = noise(5, 700_000);
    let name = segment(&bytes);
    let storage = sftp(&config);
    storage.put(&name, &bytes).unwrap();
    let file = at("made/by/us").join(name.to_string());
    assert!(fs::read(&file).unwrap() == bytes);
    fs::write(at("made/by/us/tmp/left"), "half").unwrap();
    fs::write(at("made/by/us/segments/README"), "hello").unwrap();
    let storage = sftp(&config);
    assert!(!at("made/by/us/tmp/left").exists());
    assert_eq!(
        storage.list(Class::Segments).unwrap(),
        vec![(name, 700_000)]
    );
    let mut bad = bytes.clone();
    bad[99] ^= 1;
    fs::write(&file, bad).unwrap();
    says(
        &storage.get(&name).unwrap_err(),
        Kind::Corrupt,
        &["replicate again"],
    );
    fs::remove_dir_all(at("made/by/us/segments")).unwrap();
    let first = storage.put(&name, &bytes);
    if let Err(e) = first {
        says(&e, Kind::Missing, &[]);
        storage.put(&name, &bytes).unwrap();
    }
    for config in [
        Config::Sftp(config.clone()),
        Config::Folder(at("made/by/us")),
    ] {
        reads_only(&config, &name, &bytes);
        keeps_the_pace(&config);
    }

    // Who may not enter, or write.
    let mut wrong = by_password.clone();
    wrong.auth = SftpAuth::Password("guess".into());
    says(&refusal(&wrong), Kind::Refused, &["password", "check user"]);
    let other = TempDir::new().unwrap();
    let stranger = Sshd::start(other.path()).unwrap();
    let mut wrong = config.clone();
    wrong.auth = SftpAuth::PrivateKey(stranger.private_key.clone());
    says(&refusal(&wrong), Kind::Refused, &["key", "check user"]);
    let mut wrong = config.clone();
    wrong.host_key = stranger.host_key.clone();
    says(&refusal(&wrong), Kind::Refused, &["SHA256:"]);
    let mut wrong = config.clone();
    wrong.path = "/proc/replica".into();
    let e = refusal(&wrong);
    assert!(
        matches!(e.kind(), Kind::Refused | Kind::Missing | Kind::Io),
        "{e}"
    );

    // A line that breaks, one that is slow, one that is gone.
    let line = Faulty::to(sshd.port);
    let through = sftp(&sftp_config(&sshd, line.port, &at("line")));
    bears_a_bad_line(&through, &line);
    line.cut(60_000, 1000);
    let bytes = noise(9, 5 << 20);
    let e = through.put(&segment(&bytes), &bytes).unwrap_err();
    says(&e, Kind::Transient, &["127.0.0.1"]);
    // And when it is back, so are we.
    line.whole();
    through.put(&segment(&bytes), &bytes).unwrap();
    assert!(through.get(&segment(&bytes)).unwrap() == bytes);

    // No room.
    is_full(&Folder::open(&tiny.0).unwrap());
    let full = sftp(&sftp_config(&sshd, sshd.port, &tiny_too.0));
    is_full(&full);
    let big = noise(2, 6 << 20);
    let e = full.put(&segment(&big), &big).unwrap_err();
    says(&e, Kind::Full, &["no room", "enlarge it"]);

    // A replica over SFTP, byte for byte.
    let pool = new_pool(dir.path());
    let want = fill(&pool, 12, 300_000);
    let replica = sftp(&sftp_config(&sshd, sshd.port, &at("replica")));
    replicate(&pool, &replica, &Progress::default()).unwrap();
    assert_replica(&replica, &want);
    assert_replica(&Folder::open(&at("replica")).unwrap(), &want);
}

/// Opens S3 in a process of its own, whose clock is wrong, and prints what it says.
#[test]
#[ignore = "started by s3_keeps_the_contract_behind_a_bad_line"]
fn open_s3_as_a_process() {
    let config: S3Config = serde_json::from_str(&std::env::var("COLCA_TEST_S3").unwrap()).unwrap();
    let told = std::env::var("COLCA_TEST_TOLD").unwrap();
    let said = match S3::open(&config) {
        Ok(_) => "opened".into(),
        Err(e) => format!("{:?} {e}", e.kind()),
    };
    fs::write(told, said).unwrap();
}

#[test]
fn s3_keeps_the_contract_behind_a_bad_line() {
    let dir = TempDir::new().unwrap();
    let ceph = Ceph::start(dir.path()).unwrap();
    let line = Faulty::to(ceph.port);
    let mut config = ceph.config("replica", "box");
    config.endpoint = format!("http://127.0.0.1:{}", line.port);
    let s3 = S3::open(&config).unwrap();
    assert_eq!(s3.flavor(), colca::provider::Flavor::Ceph);
    conforms(&s3);
    bears_a_bad_line(&s3, &line);
    line.cut(60_000, 1000);
    let bytes = noise(9, 5 << 20);
    let e = s3.put(&segment(&bytes), &bytes).unwrap_err();
    says(&e, Kind::Transient, &["check the address and the network"]);
    line.whole();

    // A server that is ill for a moment, or for longer.
    let name = segment(&bytes);
    for (status, code) in [
        ("500 Internal Server Error", "InternalError"),
        ("503 Service Unavailable", "SlowDown"),
    ] {
        line.answer(3, status, code, None);
        s3.put(&name, &bytes).unwrap();
        line.answer(2, status, code, None);
        assert!(s3.get(&name).unwrap() == bytes);
        line.answer(5, status, code, None);
        let e = s3.get(&name).unwrap_err();
        says(&e, Kind::Transient, &[code, "overloaded"]);
        line.whole();
    }
    // Keys that are no longer good, a clock that is wrong.
    line.answer(1, "400 Bad Request", "ExpiredToken", None);
    says(
        &s3.get(&name).unwrap_err(),
        Kind::Refused,
        &["no longer valid"],
    );
    line.answer(
        1,
        "403 Forbidden",
        "RequestTimeTooSkewed",
        Some("Tue, 24 Nov 2020 10:00:00 GMT"),
    );
    let e = s3.get(&name).unwrap_err();
    says(&e, Kind::Refused, &["clock", "differ by", "set the clock"]);
    let told = dir.path().join("told");
    // Ceph takes addresses that were signed in its future, and refuses old ones.
    for (skew, begins, word) in [("-2h", "Refused ", "clock"), ("+2h", "opened", "")] {
        let status = Command::new("faketime")
            .args(["-f", skew])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "providers::open_s3_as_a_process", "--ignored"])
            .env("COLCA_TEST_S3", serde_json::to_string(&config).unwrap())
            .env("COLCA_TEST_TOLD", &told)
            .output()
            .expect("faketime is needed by this test");
        assert!(status.status.success(), "{status:?}");
        let said = fs::read_to_string(&told).unwrap();
        assert!(
            said.starts_with(begins) && said.contains(word),
            "{skew}: {said}"
        );
    }

    reads_only(&Config::S3(config.clone()), &name, &bytes);
    keeps_the_pace(&Config::S3(config.clone()));

    // A bucket that is not there is not made by who reads only.
    let nowhere = ceph.config("nowhere", "");
    let Err(e) = S3::open_with(&nowhere, Access::reading()) else {
        panic!("there is no such bucket");
    };
    says(&e, Kind::Missing, &["no such bucket"]);

    // Storage class as the server has it, and one it has not.
    let mut classed = ceph.config("replica", "class");
    classed.storage_class = Some("STANDARD".into());
    let storage = S3::open(&classed).unwrap();
    storage.put(&name, &bytes).unwrap();
    assert!(storage.get(&name).unwrap() == bytes);
    classed.storage_class = Some("NO_SUCH_CLASS".into());
    let e = S3::open(&classed)
        .unwrap()
        .put(&Name::Header, b"x")
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Refused, "{e}");

    // The bucket in the host's name: a name that the machine knows for the test only.
    let hosts = dir.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost virtual.localhost\n").unwrap();
    S3::open(&ceph.config("virtual", "")).unwrap();
    let mut virtual_host = ceph.config("virtual", "box");
    virtual_host.endpoint = format!("http://localhost:{}", ceph.port);
    virtual_host.style = Style::Virtual;
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-ec"])
        .arg(r#"mount --bind "$1" /etc/hosts; shift; exec "$@""#)
        .arg("sh")
        .arg(&hosts)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "providers::open_s3_as_a_process", "--ignored"])
        .env(
            "COLCA_TEST_S3",
            serde_json::to_string(&virtual_host).unwrap(),
        )
        .env("COLCA_TEST_TOLD", &told)
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    assert_eq!(fs::read_to_string(&told).unwrap(), "opened");

    // The account is suspended.
    ceph.admin(&["user", "suspend", "--uid=colca"]).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let e = loop {
        match s3.get(&name) {
            Err(e) => break e,
            Ok(_) => assert!(Instant::now() < end, "it is not suspended"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    says(&e, Kind::Refused, &["no longer valid"]);
}
