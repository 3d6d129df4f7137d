//! Trees over SFTP, against a real OpenSSH server: every name comes through
//! byte for byte, there and back, and what SFTP cannot carry is said.
//!
//! Needs root (files of several owners, a temporary user) and OpenSSH.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

mod sources_support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use colca::engine::Kind;
use colca::engine::tree::FileType;
use colca::sources::{SftpConfig, local_target, local_tree, sftp_target, sftp_tree};
use rustix::fs::CWD;
use sources_support::sshd::{Line, Sshd, User};
use sources_support::{chmod, copy, describe, noise, os, path, read_all, set_time};

/// About 2000 files in 40 folders with what SFTP can carry.
fn big_tree(top: &Path) {
    let odd: [&[u8]; 6] = [
        b"with space ",
        b"line\nbreak",
        b"\xff\xfe\x80",
        "ñandú".as_bytes(),
        b"-rf *",
        &[b'n'; 255],
    ];
    let mut count = 0;
    for f in 0..40 {
        let folder = top.join(format!("folder {f}")).join(os(odd[f % 6]));
        fs::create_dir_all(&folder).unwrap();
        for i in 0..50 {
            let mut name = format!("{i} ").into_bytes();
            name.extend_from_slice(odd[i % 5]);
            let file = folder.join(os(&name));
            fs::write(&file, vec![i as u8; (i * i * 7) % 9000]).unwrap();
            chmod(&file, [0o644, 0o600, 0o755, 0o4755, 0o000][i % 5]);
            std::os::unix::fs::chown(&file, Some(i as u32), Some(1000 + i as u32)).unwrap();
            if i % 5 == 3 {
                chmod(&file, 0o4755);
            }
            set_time(&file, 1_000_000_000 + i as i64);
            count += 1;
        }
        symlink(os(b"\xff target\n"), folder.join("link")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        for link in ["link", "up"] {
            set_time(&folder.join(link), 1_200_000_000);
        }
        set_time(&folder, 1_300_000_000 + f as i64);
        set_time(folder.parent().unwrap(), 1_300_000_001 + f as i64);
    }
    fs::write(top.join("empty"), "").unwrap();
    fs::write(top.join("exactly one read"), noise(255 << 10)).unwrap();
    fs::write(top.join("one more"), noise((255 << 10) + 1)).unwrap();
    for name in ["empty", "exactly one read", "one more"] {
        set_time(&top.join(name), 1_400_000_000);
    }
    chmod(top, 0o1751);
    set_time(top, 1_500_000_000);
    assert_eq!(count, 2000);
}

#[test]
fn a_tree_goes_there_and_back() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    let (from, here, there) = (
        dir.path().join("from"),
        dir.path().join("here"),
        dir.path().join("deep/new/there"),
    );
    fs::create_dir(&from).unwrap();
    big_tree(&from);
    let before = describe(&from);

    let began = Instant::now();
    let tree = sftp_tree(&sshd.config(&from)).unwrap();
    let words = copy(&*tree, &*local_target(&here).unwrap());
    eprintln!("2000 files read over SFTP in {:?}", began.elapsed());
    assert_eq!(words, Vec::<String>::new());
    assert_eq!(before, describe(&here));

    let began = Instant::now();
    let target = sftp_target(&sshd.config(&there)).unwrap();
    let words = copy(&*local_tree(&here).unwrap(), &*target);
    eprintln!("2000 files written over SFTP in {:?}", began.elapsed());
    assert_eq!(words, Vec::<String>::new());
    assert_eq!(before, describe(&there));

    // Once more over what is there: replaced, nothing left over.
    assert_eq!(copy(&*tree, &*target), Vec::<String>::new());
    assert_eq!(before, describe(&there));
    assert_eq!(
        tree.describe(),
        format!("sftp://127.0.0.1:{}{}", sshd.port, from.display())
    );
}

#[test]
fn a_large_file_comes_whole_and_fast() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(100 << 20);
    fs::write(dir.path().join("large"), &bytes).unwrap();
    let tree = sftp_tree(&sshd.config(dir.path())).unwrap();
    let root = tree.root().unwrap();
    let began = Instant::now();
    let read = read_all(&mut *root.open(b"large").unwrap()).unwrap();
    let took = began.elapsed();
    assert_eq!(blake3::hash(&read), blake3::hash(&bytes));
    eprintln!("read {:.0} MiB/s", 100.0 / took.as_secs_f64());
    assert!(took < Duration::from_secs(30));

    let began = Instant::now();
    let target = sftp_target(&sshd.config(dir.path())).unwrap();
    let output = target.file(&path(&[b"copy"]), bytes.len() as u64).unwrap();
    for (i, piece) in bytes.chunks(1 << 20).enumerate() {
        output.write_at((i as u64) << 20, piece).unwrap();
    }
    output.close().unwrap();
    let took = began.elapsed();
    assert_eq!(fs::read(dir.path().join("copy")).unwrap(), bytes);
    eprintln!("written {:.0} MiB/s", 100.0 / took.as_secs_f64());
}

#[test]
fn keys_are_renewed_while_data_flows() {
    let sshd = Sshd::start_with("ed25519", "RekeyLimit 2M");
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(30 << 20);
    fs::write(dir.path().join("large"), &bytes).unwrap();
    let config = sshd.config(dir.path());
    let root = sftp_tree(&config).unwrap().root().unwrap();
    assert!(read_all(&mut *root.open(b"large").unwrap()).unwrap() == bytes);
    let target = sftp_target(&config).unwrap();
    let output = target.file(&path(&[b"copy"]), bytes.len() as u64).unwrap();
    output.write_at(0, &bytes).unwrap();
    output.close().unwrap();
    assert!(fs::read(dir.path().join("copy")).unwrap() == bytes);
}

#[test]
fn a_server_without_extensions_serves_too() {
    let denied = "posix-rename,hardlink,lsetstat,fsync,statvfs,limits";
    let sshd = Sshd::start_with(
        "ed25519",
        &format!("Subsystem sftp internal-sftp -P {denied}"),
    );
    let dir = tempfile::tempdir().unwrap();
    let (from, there) = (dir.path().join("from"), dir.path().join("there"));
    fs::create_dir_all(from.join("folder")).unwrap();
    fs::write(from.join("one"), noise(3 << 20)).unwrap();
    fs::write(from.join("folder/two"), "two").unwrap();
    symlink("one", from.join("link")).unwrap();
    for name in ["one", "folder/two", "folder", "link", ""] {
        set_time(&from.join(name), 1_000_000_000);
    }
    let before = describe(&from);
    for _ in 0..2 {
        let target = sftp_target(&sshd.config(&there)).unwrap();
        let words = copy(&*local_tree(&from).unwrap(), &*target);
        assert_eq!(words, Vec::<String>::new());
        let mut after = describe(&there);
        // A link's own time cannot be set without an extension.
        let link = Path::new("link");
        assert!(after.remove(link).unwrap().contains("\"one\""));
        let mut before = before.clone();
        before.remove(link);
        assert_eq!(before, after);
        target
            .hard_link(&path(&[b"one"]), &path(&[b"same"]))
            .unwrap();
        // Without hard links it is a copy, with mode and time.
        let (a, b) = (there.join("one"), there.join("same"));
        assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
        let (a, b) = (fs::metadata(a).unwrap(), fs::metadata(b).unwrap());
        assert_eq!((a.mode(), a.mtime()), (b.mode(), b.mtime()));
        assert_ne!(a.ino(), b.ino());
        fs::remove_file(there.join("same")).unwrap();
    }
    let tree = sftp_tree(&sshd.config(&there)).unwrap();
    let read = read_all(&mut *tree.root().unwrap().open(b"one").unwrap()).unwrap();
    assert!(read == noise(3 << 20));
}

#[test]
fn many_threads_share_the_connections() {
    let sshd = Sshd::start();
    let line = Line::to(sshd.port);
    let dir = tempfile::tempdir().unwrap();
    for i in 0..64 {
        fs::write(dir.path().join(i.to_string()), noise(i * 40_001)).unwrap();
    }
    let config = SftpConfig {
        port: line.port,
        ..sshd.config(dir.path())
    };
    let root = sftp_tree(&config).unwrap().root().unwrap();
    std::thread::scope(|scope| {
        for t in 0..16 {
            let root = &root;
            scope.spawn(move || {
                for i in (t..64).step_by(16) {
                    let mut input = root.open(i.to_string().as_bytes()).unwrap();
                    assert!(read_all(&mut *input).unwrap() == noise(i * 40_001));
                }
            });
        }
    });
    let n = line.connections();
    assert!((2..=4).contains(&n), "{n} connections");
}

#[test]
fn an_unprivileged_user_restores_all_but_owners() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let user = User::add();
    let (from, there) = (dir.path().join("from"), dir.path().join("there"));
    fs::create_dir_all(from.join("shut")).unwrap();
    for i in 0..20 {
        let file = from.join(format!("shut/{i}"));
        fs::write(&file, "x").unwrap();
        xattr::set(&file, "user.a", b"b").unwrap();
        chmod(&file, if i % 2 == 0 { 0o6755 } else { 0o444 });
        set_time(&file, if i == 3 { -5 } else { 1_000 + i });
    }
    symlink("shut", from.join("link")).unwrap();
    fs::hard_link(from.join("shut/1"), from.join("same")).unwrap();
    chmod(&from.join("shut"), 0o555);
    fs::create_dir(&there).unwrap();
    std::os::unix::fs::chown(&there, Some(user.id()), None).unwrap();
    let config = SftpConfig {
        user: user.name.clone(),
        ..sshd.config(&there)
    };
    for _ in 0..2 {
        let target = sftp_target(&config).unwrap();
        let words = copy(&*local_tree(&from).unwrap(), &*target);
        assert_eq!(words.len(), 4, "{words:#?}");
        for word in ["owner and group (0:0)", "setuid", "1970", "ACL"] {
            assert!(words.iter().any(|w| w.contains(word)), "{word}: {words:#?}");
        }
    }
    for i in 0..20i64 {
        let m = fs::metadata(there.join(format!("shut/{i}"))).unwrap();
        let mode = if i % 2 == 0 { 0o755 } else { 0o444 };
        let time = if i == 3 { 0 } else { 1_000 + i };
        assert_eq!((m.mode() & 0o7777, m.mtime()), (mode, time));
        assert_eq!(m.uid(), user.id());
    }
    assert_eq!(
        fs::metadata(there.join("shut/1")).unwrap().ino(),
        fs::metadata(there.join("same")).unwrap().ino()
    );
    assert_eq!(
        fs::metadata(there.join("shut")).unwrap().mode() & 0o7777,
        0o555
    );
    // Reading what may not be read: named, the rest is read.
    fs::write(there.join("secret"), "x").unwrap();
    chmod(&there.join("secret"), 0o600);
    let root = sftp_tree(&config).unwrap().root().unwrap();
    assert_eq!(root.entries().unwrap().len(), 4);
    let e = root.open(b"secret").err().unwrap();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("/secret"), "{e}");
}

#[test]
fn no_link_in_the_target_leads_out_of_it() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    let (outside, there) = (dir.path().join("outside"), dir.path().join("there"));
    fs::create_dir(&outside).unwrap();
    fs::create_dir(&there).unwrap();
    fs::write(outside.join("precious"), "untouched").unwrap();
    symlink(&outside, there.join("folder")).unwrap();
    symlink(outside.join("precious"), there.join("file")).unwrap();
    let before = describe(&outside);
    let target = sftp_target(&sshd.config(&there)).unwrap();
    let root = local_tree(&outside).unwrap().root().unwrap();
    let meta = root.entries().unwrap().remove(0).unwrap().meta;
    let refused = |r: colca::engine::Result<()>| assert_eq!(r.unwrap_err().kind(), Kind::Refused);

    let through = path(&[b"folder", b"precious"]);
    refused(target.file(&through, 1).map(drop));
    refused(target.folder(&path(&[b"folder", b"new"])));
    refused(target.finish(&through, &meta).map(drop));
    refused(target.hard_link(&through, &path(&[b"stolen"])));
    let file = path(&[b"file"]);
    refused(target.finish(&file, &meta).map(drop));
    let output = target.file(&file, 3).unwrap();
    output.write_at(0, b"abc").unwrap();
    output.close().unwrap();
    target.finish(&file, &meta).unwrap();
    target.folder(&path(&[b"folder"])).unwrap();
    for bad in [&b".."[..], b".", b"", b"a/b", b"a\0b"] {
        refused(target.file(&path(&[bad]), 1).map(drop));
    }
    assert_eq!(before, describe(&outside));
    assert_eq!(fs::read(there.join("file")).unwrap(), b"abc");
    assert!(there.join("folder").symlink_metadata().unwrap().is_dir());
}

#[test]
fn what_sftp_cannot_carry_is_said_and_half_files_go() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    let fifo = |at: &Path| {
        rustix::fs::mknodat(
            CWD,
            at,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
    };
    fifo(&dir.path().join("fifo"));
    rustix::fs::mknodat(
        CWD,
        dir.path().join("null"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::RUSR,
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    fs::write(dir.path().join("old"), "old").unwrap();
    let tree = sftp_tree(&sshd.config(dir.path())).unwrap();
    let entries = tree.root().unwrap().entries().unwrap();
    assert_eq!(entries.len(), 3);
    let mut said = Vec::new();
    for entry in entries {
        match entry {
            Ok(e) if e.name == b"fifo" => assert_eq!(e.meta.kind, FileType::Fifo),
            Ok(e) => assert_eq!(e.meta.kind, FileType::File { size: 3 }),
            Err((name, e)) => {
                said.push(name);
                assert!(e.to_string().contains("device"), "{e}");
            }
        }
    }
    assert_eq!(said, [b"null".to_vec()]);

    let target = sftp_target(&sshd.config(dir.path())).unwrap();
    let meta = local_tree(dir.path())
        .unwrap()
        .root()
        .unwrap()
        .meta()
        .unwrap();
    let pipe = colca::engine::tree::Meta {
        kind: FileType::Fifo,
        ..meta
    };
    let e = target.special(&path(&[b"pipe"]), &pipe).unwrap_err();
    assert!(e.to_string().contains("named pipe"), "{e}");
    // Dropped without close: the old file stays, nothing else does.
    let output = target.file(&path(&[b"old"]), 1000).unwrap();
    output.write_at(0, &[1; 500]).unwrap();
    drop(output);
    // Answered in order on the same line, so the removal is over by then.
    let output = target.file(&path(&[b"sparse"]), 1 << 20).unwrap();
    output.write_at(1000, b"x").unwrap();
    output.close().unwrap();
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old");
    assert_eq!(
        fs::metadata(dir.path().join("sparse")).unwrap().len(),
        1 << 20
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn a_full_disk_on_the_server_is_full() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    nix::mount::mount(
        Some("tmpfs"),
        dir.path(),
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some("size=1m"),
    )
    .expect("mounting needs root");
    let target = sftp_target(&sshd.config(dir.path())).unwrap();
    let output = target.file(&path(&[b"big"]), 8 << 20).unwrap();
    let e = output
        .write_at(0, &noise(8 << 20))
        .and_then(|()| output.close())
        .unwrap_err();
    nix::mount::umount2(dir.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    assert_eq!(e.kind(), Kind::Full, "{e}");
    assert!(e.to_string().contains("big"), "{e}");
}
