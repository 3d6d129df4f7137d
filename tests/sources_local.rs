//! Local folders as source and as target of a restore: what goes in comes out
//! again, and nothing placed in the target leads a restore out of it.
//!
//! Needs root for owners, devices and mounts.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use colca::engine::Kind;
use colca::engine::tree::{FileType, Meta, Time};
use colca::sources::{local_target, local_tree};
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps};

mod sources_support;
use sources_support::{copy_local as copy, describe, os, path, pieces};

fn set_time(path: &Path, secs: i64, nanos: i64) {
    let t = Timespec {
        tv_sec: secs,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: t,
        last_modification: t,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// `user::rw-, user:1234:r--, group::r--, mask::rw-, other::---` as the kernel encodes it.
fn acl() -> Vec<u8> {
    let mut v = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 4, 1234),
        (4, 4, u32::MAX),
        (16, 6, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        v.extend(tag.to_le_bytes());
        v.extend(perm.to_le_bytes());
        v.extend(id.to_le_bytes());
    }
    v
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree with one of everything.
fn rich_tree(top: &Path) {
    fs::create_dir_all(top.join("folder/inner")).unwrap();
    fs::create_dir(top.join("empty folder")).unwrap();
    fs::create_dir(top.join("sticky")).unwrap();
    chmod(&top.join("sticky"), 0o1777);
    fs::create_dir(top.join("read-only")).unwrap();
    fs::write(top.join("read-only/file"), "x").unwrap();
    chmod(&top.join("read-only"), 0o555);
    fs::write(top.join("empty"), "").unwrap();
    fs::write(top.join("folder/data"), vec![7; 300_001]).unwrap();
    for name in [
        &b"with space"[..],
        b"line\nbreak",
        b"\xff\xfenot utf-8",
        "ñandú ⛰".as_bytes(),
        b"-rf",
        b"back\\slash",
        &[b'n'; 255],
    ] {
        fs::write(top.join(os(name)), name).unwrap();
    }
    fs::write(top.join("setuid"), "suid").unwrap();
    std::os::unix::fs::chown(top.join("setuid"), Some(1234), Some(4321)).unwrap();
    chmod(&top.join("setuid"), 0o6755);
    fs::write(top.join("none"), "no rights").unwrap();
    chmod(&top.join("none"), 0);
    symlink("folder/data", top.join("link")).unwrap();
    symlink("/nowhere/at all", top.join("dangling")).unwrap();
    symlink(os(b"\xff\n"), top.join("odd link")).unwrap();
    std::os::unix::fs::lchown(top.join("link"), Some(77), Some(78)).unwrap();
    fs::hard_link(top.join("folder/data"), top.join("folder/inner/same")).unwrap();
    fs::hard_link(top.join("folder/data"), top.join("same too")).unwrap();
    let node = |name: &str, kind, rdev| {
        rustix::fs::mknodat(CWD, top.join(name), kind, Mode::RUSR, rdev).unwrap();
    };
    node("fifo", rustix::fs::FileType::Fifo, 0);
    node(
        "char",
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    node(
        "block",
        rustix::fs::FileType::BlockDevice,
        rustix::fs::makedev(259, 70_000),
    );
    xattr::set(top.join("folder/data"), "user.colour", b"green").unwrap();
    xattr::set(top.join("folder/data"), "user.empty", b"").unwrap();
    xattr::set(top.join("none"), "user.big", &vec![3; 3000]).unwrap();
    xattr::set(top.join("folder"), "user.on folder", b"\0\xff").unwrap();
    xattr::set(top.join("empty"), "system.posix_acl_access", &acl()).unwrap();
    xattr::set(top.join("folder"), "system.posix_acl_default", &acl()).unwrap();
    // VFS_CAP_REVISION_2, cap_net_raw permitted.
    let mut cap = 0x0200_0000u32.to_le_bytes().to_vec();
    cap.extend([0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    xattr::set(top.join("with space"), "security.capability", &cap).unwrap();
    set_time(&top.join("link"), 1_000_000_000, 1);
    set_time(&top.join("empty"), -1_000, 999_999_999);
    set_time(&top.join("fifo"), 1, 0);
    set_time(&top.join("folder/data"), 1_600_000_000, 123_456_789);
    set_time(&top.join("folder/inner"), 1_500_000_000, 5);
    set_time(&top.join("folder"), 1_500_000_001, 6);
    chmod(top, 0o2750);
    set_time(top, 1_400_000_000, 7);
}

#[test]
fn everything_survives_under_any_umask() {
    for umask in [0o000, 0o077, 0o777] {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        rich_tree(&from);
        fs::create_dir(&to).unwrap();
        rustix::process::umask(Mode::from_raw_mode(umask));
        let words = copy(&from, &to);
        assert_eq!(words, Vec::<String>::new());
        let (a, b) = (describe(&from), describe(&to));
        assert!(a.len() > 25);
        assert_eq!(a, b, "umask {umask:o}");

        // A second restore into the same place replaces all and changes nothing.
        assert_eq!(copy(&from, &to), Vec::<String>::new());
        assert_eq!(a, describe(&to));
        assert_eq!(a, describe(&from), "reading changed the source");
    }
}

#[test]
fn a_target_with_other_things_in_it_takes_the_restored_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    rich_tree(&from);
    // In the way: a default ACL to inherit, a folder for a file, a file for a
    // folder, an attribute the original did not have.
    fs::create_dir(&to).unwrap();
    xattr::set(&to, "system.posix_acl_default", &acl()).unwrap();
    fs::create_dir(to.join("empty")).unwrap();
    fs::write(to.join("folder"), "a file").unwrap();
    fs::create_dir(to.join("sticky")).unwrap();
    xattr::set(to.join("sticky"), "user.stranger", b"x").unwrap();
    fs::write(to.join("bystander"), "stays").unwrap();
    assert_eq!(copy(&from, &to), Vec::<String>::new());
    let mut b = describe(&to);
    assert!(b.remove(Path::new("bystander")).is_some());
    assert_eq!(describe(&from), b);
}

#[test]
fn holes_stay_holes() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir(&from).unwrap();
    let file = fs::File::create(from.join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1; 5000], 10 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[2; 5000], 40 << 20).unwrap();
    let only_hole = fs::File::create(from.join("hole")).unwrap();
    only_hole.set_len(12_345_678).unwrap();

    let tree = local_tree(&from).unwrap();
    let mut input = tree.root().unwrap().open(b"sparse").unwrap();
    let data: u64 = pieces(&mut *input).iter().map(|p| p.1.len() as u64).sum();
    assert!(
        (10_000..200_000).contains(&data),
        "{data} bytes were read as data"
    );
    copy(&from, &to);
    assert_eq!(describe(&from), describe(&to));
    let blocks = |p: &str| fs::metadata(to.join(p)).unwrap().blocks();
    assert!(blocks("sparse") < 1000, "{}", blocks("sparse"));
    assert_eq!(blocks("hole"), 0);
}

#[test]
fn no_link_in_the_target_leads_out_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (outside, to) = (dir.path().join("outside"), dir.path().join("to"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "untouched").unwrap();
    chmod(&outside.join("precious"), 0o600);
    fs::create_dir(&to).unwrap();
    symlink(&outside, to.join("folder")).unwrap();
    symlink(outside.join("precious"), to.join("file")).unwrap();
    symlink(outside.join("new"), to.join("other")).unwrap();
    let before = describe(&outside);
    let target = local_target(&to).unwrap();
    let root = local_tree(&outside).unwrap().root().unwrap();
    let meta = root.entries().unwrap().remove(0).unwrap().meta;

    // Through a link in the middle: refused, whatever is asked.
    let through = path(&[b"folder", b"precious"]);
    let refused = |r: colca::engine::Result<()>| assert_eq!(r.unwrap_err().kind(), Kind::Refused);
    refused(target.file(&through, 1).map(drop));
    refused(target.folder(&path(&[b"folder", b"new"])));
    refused(target.hard_link(&through, &path(&[b"stolen"])));
    refused(target.finish(&through, &meta).map(drop));
    let link = Meta {
        kind: FileType::Symlink {
            target: b"x".to_vec(),
        },
        ..meta.clone()
    };
    refused(target.special(&through, &link));
    // A link under the last name is replaced, not followed.
    for name in [&b"file"[..], b"other"] {
        let name = path(&[name]);
        // Finishing before replacing must not reach through the link either.
        refused(target.finish(&name, &meta).map(drop));
        let file = target.file(&name, 3).unwrap();
        file.write_at(0, b"abc").unwrap();
        file.close().unwrap();
        target.finish(&name, &meta).unwrap();
        assert!(to.join(os(&name[0])).symlink_metadata().unwrap().is_file());
    }
    // A folder takes the place of the link.
    target.folder(&path(&[b"folder"])).unwrap();
    assert!(to.join("folder").symlink_metadata().unwrap().is_dir());
    // Names that are not names.
    for bad in [&b".."[..], b".", b"", b"a/b", b"/etc"] {
        refused(target.file(&path(&[bad]), 1).map(drop));
        refused(target.folder(&path(&[bad, b"x"])));
    }
    assert_eq!(before, describe(&outside));
}

#[test]
fn a_dropped_output_leaves_nothing_and_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old"), "old").unwrap();
    let target = local_target(dir.path()).unwrap();
    let output = target.file(&path(&[b"old"]), 1000).unwrap();
    output.write_at(0, b"half").unwrap();
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old");
    drop(output);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old");
}

/// Files get their names at once there; the promises are the same.
#[test]
fn a_folder_the_restore_made_keeps_no_half_file_and_replaces_what_is_put_there() {
    let dir = tempfile::tempdir().unwrap();
    let target = local_target(dir.path()).unwrap();
    target.folder(&path(&[b"new"])).unwrap();
    let output = target.file(&path(&[b"new", b"half"]), 1000).unwrap();
    output.write_at(0, b"half").unwrap();
    let made: Vec<_> = fs::read_dir(dir.path().join("new")).unwrap().collect();
    assert_eq!(made[0].as_ref().unwrap().file_name(), "half");
    drop(output);
    assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 0);

    // Somebody with the owner's rights puts a link where a file will be.
    fs::write(dir.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", dir.path().join("new/file")).unwrap();
    let output = target.file(&path(&[b"new", b"file"]), 4).unwrap();
    output.write_at(0, b"mine").unwrap();
    output.close().unwrap();
    let file = dir.path().join("new/file");
    assert!(file.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read(file).unwrap(), b"mine");
    assert_eq!(fs::read(dir.path().join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 1);
}

#[test]
fn a_folder_with_files_in_it_is_not_replaced_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("name")).unwrap();
    fs::write(dir.path().join("name/file"), "x").unwrap();
    let target = local_target(dir.path()).unwrap();
    let e = target
        .file(&path(&[b"name"]), 0)
        .unwrap()
        .close()
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("name"), "{e}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(dir.path().join("name/file").exists());
}

#[test]
fn paths_longer_than_the_kernels_limit_work() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir(&from).unwrap();
    let writer = local_target(&from).unwrap();
    let mut deep = Vec::new();
    for _ in 0..40 {
        deep.push(vec![b'd'; 200]);
        writer.folder(&deep).unwrap();
    }
    deep.push(b"file".to_vec());
    let file = writer.file(&deep, 5).unwrap();
    file.write_at(0, b"depth").unwrap();
    file.close().unwrap();

    let mut folder = local_tree(&from).unwrap().root().unwrap();
    for name in &deep[..40] {
        folder = folder.folder(name).unwrap();
    }
    let found = pieces(&mut *folder.open(b"file").unwrap());
    assert_eq!(found, [(0, b"depth".to_vec())]);
    assert!(folder.xattrs(b"file").unwrap().is_empty());
}

#[test]
fn a_source_that_is_not_there_is_missing_and_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let kind_of = |p: &Path| local_tree(p).and_then(|t| t.root().map(drop)).unwrap_err();
    let e = kind_of(&dir.path().join("gone"));
    assert_eq!(e.kind(), Kind::Missing);
    assert!(e.to_string().contains("gone"), "{e}");
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(kind_of(&dir.path().join("file")).kind(), Kind::Refused);

    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    let root = local_tree(&open).unwrap().root().unwrap();
    fs::remove_dir(&open).unwrap();
    assert_eq!(root.entries().unwrap_err().kind(), Kind::Missing);
}

#[test]
fn a_file_that_became_a_link_or_fifo_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", dir.path().join("link")).unwrap();
    rustix::fs::mknodat(
        CWD,
        dir.path().join("fifo"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    symlink("/etc", dir.path().join("folder")).unwrap();
    let root = local_tree(dir.path()).unwrap().root().unwrap();
    for name in [&b"link"[..], b"fifo"] {
        assert_eq!(root.open(name).err().unwrap().kind(), Kind::Transient);
    }
    let e = root.folder(b"folder").err().unwrap();
    assert_eq!(e.kind(), Kind::Transient, "{e}");
}

#[test]
fn a_change_during_the_read_can_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log"), "one").unwrap();
    let root = local_tree(dir.path()).unwrap().root().unwrap();
    let before = root.entries().unwrap().remove(0).unwrap().meta;
    let mut input = root.open(b"log").unwrap();
    assert_eq!(input.meta_now().unwrap(), Some(before.clone()));
    fs::write(dir.path().join("log"), "three").unwrap();
    let now = input.meta_now().unwrap().unwrap();
    assert_ne!(now, before);
    assert_eq!(now.kind, FileType::File { size: 5 });
}

/// A small file system of its own, gone when dropped.
struct Tmpfs(PathBuf);
impl Tmpfs {
    fn mount(at: &Path, options: &str) -> Self {
        nix::mount::mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some(options),
        )
        .expect("mounting needs root");
        Self(at.into())
    }
}
impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn another_file_system_is_kept_as_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir_all(from.join("mount")).unwrap();
    fs::write(from.join("file"), "here").unwrap();
    let _mounted = Tmpfs::mount(&from.join("mount"), "size=1m");
    fs::write(from.join("mount/there"), "elsewhere").unwrap();
    let to = dir.path().join("to");
    copy(&from, &to);
    assert_eq!(fs::read(to.join("file")).unwrap(), b"here");
    assert_eq!(fs::read_dir(to.join("mount")).unwrap().count(), 0);
    // Given itself, it is read.
    let root = local_tree(&from.join("mount")).unwrap().root().unwrap();
    assert_eq!(root.entries().unwrap().len(), 1);
}

#[test]
fn a_full_target_says_so_and_keeps_no_half_file() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Tmpfs::mount(dir.path(), "size=256k");
    let target = local_target(dir.path()).unwrap();
    let output = target.file(&path(&[b"big"]), 1 << 20).unwrap();
    let e = output.write_at(0, &vec![1; 1 << 20]).unwrap_err();
    assert_eq!(e.kind(), Kind::Full);
    assert!(e.to_string().contains("big"), "{e}");
    drop(output);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(target);
    drop(mounted);
}

#[test]
fn without_root_owners_are_one_warning_and_setuid_is_not_lent() {
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(from.join("shut")).unwrap();
    for i in 0..50 {
        let file = from.join(format!("shut/{i}"));
        fs::write(&file, "x").unwrap();
        xattr::set(&file, "user.n", b"1").unwrap();
        chmod(&file, if i % 2 == 0 { 0o6755 } else { 0o444 });
        set_time(&file, 1_000, 1);
    }
    chmod(&from.join("shut"), 0o555);
    fs::create_dir(&to).unwrap();
    std::os::unix::fs::chown(&to, Some(4242), Some(4242)).unwrap();
    nix::unistd::setegid(4242.into()).unwrap();
    nix::unistd::seteuid(4242.into()).unwrap();
    let words = copy(&from, &to);
    // Again over what is there, read-only folder included.
    let again = copy(&from, &to);
    nix::unistd::seteuid(0.into()).unwrap();
    nix::unistd::setegid(0.into()).unwrap();

    for words in [words, again] {
        assert_eq!(words.len(), 2, "{words:#?}");
        assert!(words.iter().any(|w| w.contains("owner and group (0:0)")));
        assert!(words.iter().any(|w| w.contains("setuid")));
    }
    let shut = fs::metadata(to.join("shut")).unwrap();
    assert_eq!(shut.mode() & 0o7777, 0o555);
    for i in 0..50 {
        let file = to.join(format!("shut/{i}"));
        let m = fs::metadata(&file).unwrap();
        let mode = if i % 2 == 0 { 0o755 } else { 0o444 };
        assert_eq!((m.mode() & 0o7777, m.uid()), (mode, 4242));
        assert_eq!((m.mtime(), m.mtime_nsec()), (1_000, 1));
        assert_eq!(xattr::get(&file, "user.n").unwrap().unwrap(), b"1");
    }
}

#[test]
fn an_unreadable_file_is_named_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    fs::write(dir.path().join("secret"), "x").unwrap();
    chmod(&dir.path().join("secret"), 0o600);
    fs::write(dir.path().join("open"), "y").unwrap();
    nix::unistd::seteuid(4242.into()).unwrap();
    let root = local_tree(dir.path()).unwrap().root().unwrap();
    let found = root.entries().unwrap();
    let secret = root.open(b"secret").err().unwrap();
    let open = pieces(&mut *root.open(b"open").unwrap());
    nix::unistd::seteuid(0.into()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(secret.kind(), Kind::Refused);
    assert!(secret.to_string().contains("secret"), "{secret}");
    assert_eq!(open, [(0, b"y".to_vec())]);
}

#[test]
fn access_times_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    set_time(&file, 1_000, 1);
    let root = local_tree(dir.path()).unwrap().root().unwrap();
    pieces(&mut *root.open(b"file").unwrap());
    assert_eq!(fs::metadata(&file).unwrap().atime(), 1_000);
    let time = Time {
        secs: 1_000,
        nanos: 1,
    };
    assert_eq!(root.entries().unwrap().remove(0).unwrap().meta.mtime, time);
}
