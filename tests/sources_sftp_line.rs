//! Reaching a real OpenSSH server: wrong keys and passwords are told apart, and
//! a broken line is mended or reported, never waited for in vain.
//!
//! Needs root (a temporary user) and OpenSSH.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

mod sources_support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use colca::engine::Kind;
use colca::sources::{SftpAuth, SftpConfig, sftp_host_key, sftp_tree};
use sources_support::sshd::{Line, Sshd, User, free_port, keygen};
use sources_support::{chmod, noise, read_all, set_time};

fn fails(config: &SftpConfig) -> colca::engine::Error {
    let e = sftp_tree(config)
        .and_then(|t| t.root().map(drop))
        .expect_err("must fail");
    eprintln!("{:?}: {e}", e.kind());
    e
}

#[test]
fn the_host_key_can_be_asked_for_and_another_one_is_refused() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        sftp_host_key("127.0.0.1", sshd.port).unwrap(),
        sshd.host_key
    );

    let (_, other) = keygen(dir.path(), "other", "ed25519");
    let (_, other_kind) = keygen(dir.path(), "other_kind", "ecdsa");
    for wrong in [other, other_kind] {
        let mut config = sshd.config(dir.path());
        config.host_key = wrong;
        let e = fails(&config);
        assert_eq!(e.kind(), Kind::Refused);
        let text = e.to_string();
        assert_eq!(text.matches("SHA256:").count(), 2, "{text}");
    }
    assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());

    let mut config = sshd.config(dir.path());
    config.host_key = "not a key".into();
    let e = sftp_tree(&config).err().unwrap();
    assert_eq!(e.kind(), Kind::Refused);
}

#[test]
fn the_pinned_key_is_asked_for_where_a_server_has_several() {
    let dir = tempfile::tempdir().unwrap();
    let (_, rsa) = keygen(dir.path(), "rsa", "rsa");
    let (_, ecdsa) = keygen(dir.path(), "ecdsa", "ecdsa");
    let more = format!("HostKey {0}/rsa\nHostKey {0}/ecdsa", dir.path().display());
    let sshd = Sshd::start_with("ed25519", &more);
    for key in [rsa, ecdsa, sshd.host_key.clone()] {
        let mut config = sshd.config(dir.path());
        config.host_key = key + " a comment";
        sftp_tree(&config).unwrap().root().unwrap();
    }
}

#[test]
fn wrong_keys_and_passwords_are_refused_and_right_ones_let_in() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let user = User::add();
    let config = |auth| SftpConfig {
        user: user.name.clone(),
        auth,
        ..sshd.config(dir.path())
    };
    let good = [
        SftpAuth::Password(user.password.into()),
        SftpAuth::PrivateKey(sshd.key.clone()),
        SftpAuth::PrivateKey(sshd.rsa_key()),
    ];
    for auth in good {
        sftp_tree(&config(auth)).unwrap().root().unwrap();
    }
    let (stranger, _) = keygen(dir.path(), "stranger", "ed25519");
    for (auth, word) in [
        (SftpAuth::Password("wrong".into()), "password"),
        (SftpAuth::PrivateKey(stranger), "key"),
    ] {
        let e = fails(&config(auth));
        assert_eq!(e.kind(), Kind::Refused);
        let text = e.to_string();
        assert!(text.contains(&format!("refused the {word}")), "{text}");
        assert!(
            text.contains(&user.name) && !text.contains("wrong"),
            "{text}"
        );
    }
    // A key behind a passphrase, and something that is no key, before connecting.
    let locked = dir.path().join("locked");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-N", "secret", "-t", "ed25519", "-f"])
        .arg(&locked)
        .status();
    assert!(made.unwrap().success());
    for (key, word) in [
        (fs::read_to_string(locked).unwrap(), "passphrase"),
        ("-----BEGIN NONSENSE-----".into(), "OpenSSH format"),
    ] {
        let e = sftp_tree(&config(SftpAuth::PrivateKey(key))).err().unwrap();
        assert_eq!(e.kind(), Kind::Refused);
        assert!(e.to_string().contains(word), "{e}");
    }
}

#[test]
fn what_is_not_there_is_missing_and_a_dead_port_transient() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    let e = fails(&sshd.config(&dir.path().join("gone")));
    assert_eq!(e.kind(), Kind::Missing);
    assert!(e.to_string().contains("/gone"), "{e}");
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(
        fails(&sshd.config(&dir.path().join("file"))).kind(),
        Kind::Refused
    );

    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    let root = sftp_tree(&sshd.config(&open)).unwrap().root().unwrap();
    fs::remove_dir(&open).unwrap();
    assert_eq!(root.entries().unwrap_err().kind(), Kind::Missing);

    let mut config = sshd.config(dir.path());
    config.port = free_port();
    assert_eq!(fails(&config).kind(), Kind::Transient);
    assert_eq!(
        sftp_host_key("127.0.0.1", config.port).unwrap_err().kind(),
        Kind::Transient
    );
    config.path = "relative".into();
    assert_eq!(sftp_tree(&config).err().unwrap().kind(), Kind::Refused);
}

#[test]
fn a_server_without_sftp_is_refused() {
    let sshd = Sshd::start_with("ed25519", "ForceCommand /bin/false");
    let more = "Match User root\nForceCommand echo hello";
    let noisy = Sshd::start_with("ed25519", more);
    for sshd in [sshd, noisy] {
        let e = fails(&sshd.config(Path::new("/")));
        assert!(matches!(e.kind(), Kind::Refused | Kind::Transient), "{e}");
    }
}

#[test]
fn a_line_cut_while_reading_is_mended() {
    let sshd = Sshd::start();
    let line = Line::to(sshd.port);
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(30 << 20);
    fs::write(dir.path().join("large"), &bytes).unwrap();
    let config = SftpConfig {
        port: line.port,
        ..sshd.config(dir.path())
    };
    let root = sftp_tree(&config).unwrap().root().unwrap();
    line.cut_after(10 << 20);
    let read = read_all(&mut *root.open(b"large").unwrap()).unwrap();
    assert!(read == bytes);
    // Listing too.
    line.cut_after(0);
    assert_eq!(root.entries().unwrap().len(), 1);
    assert!(line.connections() >= 3);
}

#[test]
fn a_file_that_changed_while_the_line_was_cut_is_not_pieced_together() {
    let sshd = Sshd::start();
    let line = Line::to(sshd.port);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("large"), noise(30 << 20)).unwrap();
    set_time(&dir.path().join("large"), 1_000_000_000);
    let config = SftpConfig {
        port: line.port,
        ..sshd.config(dir.path())
    };
    let root = sftp_tree(&config).unwrap().root().unwrap();
    let mut input = root.open(b"large").unwrap();
    let mut buf = vec![0; 1 << 20];
    assert!(input.read(&mut buf).unwrap() > 0);
    set_time(&dir.path().join("large"), 1_000_000_001);
    line.cut_after(0);
    let e = read_all(&mut *input).unwrap_err();
    assert_eq!(e.kind(), Kind::Transient);
    assert!(e.to_string().contains("changed"), "{e}");
}

#[test]
fn a_server_gone_for_good_ends_the_work_and_does_not_hang() {
    let sshd = Sshd::start();
    let line = Line::to(sshd.port);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("large"), noise(30 << 20)).unwrap();
    let config = SftpConfig {
        port: line.port,
        ..sshd.config(dir.path())
    };
    let root = sftp_tree(&config).unwrap().root().unwrap();
    let mut input = root.open(b"large").unwrap();
    line.refuse();
    line.cut_after(5 << 20);
    let began = Instant::now();
    let e = read_all(&mut *input).unwrap_err();
    eprintln!("{e}");
    assert_eq!(e.kind(), Kind::Transient);
    assert!(began.elapsed() < Duration::from_secs(40));
    // From then on everything fails at once.
    let began = Instant::now();
    for _ in 0..1000 {
        assert_eq!(root.open(b"large").err().unwrap().kind(), Kind::Transient);
        assert_eq!(root.entries().unwrap_err().kind(), Kind::Transient);
    }
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let sshd = Sshd::start();
    let line = Line::to(sshd.port);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("large"), noise(30 << 20)).unwrap();
    let config = SftpConfig {
        port: line.port,
        ..sshd.config(dir.path())
    };
    let root = sftp_tree(&config).unwrap().root().unwrap();
    let mut input = root.open(b"large").unwrap();
    line.freeze();
    line.refuse();
    let began = Instant::now();
    let e = read_all(&mut *input).unwrap_err();
    eprintln!("{:?}: {e}", began.elapsed());
    assert_eq!(e.kind(), Kind::Transient);
    assert!(began.elapsed() < Duration::from_secs(120));
}
