//! What the tests of several sources share: copying through the seams, and
//! looking at trees by other means.
#![allow(dead_code)] // Each test binary uses its part.

pub mod sshd;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use colca::engine::tree::{FileType, Folder, Input, Target, Tree};
use colca::sources::{local_target, local_tree};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

pub fn path(names: &[&[u8]]) -> Vec<Vec<u8>> {
    names.iter().map(|n| n.to_vec()).collect()
}

pub fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// Copies a tree the way the engine restores one: hard links joined, holes
/// kept, folders finished after what is in them. Gives the warnings.
pub fn copy(tree: &dyn Tree, target: &dyn Target) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let mut words = Vec::new();
    let root = tree.root().unwrap();
    copy_folder(&*root, target, &mut Vec::new(), &mut seen, &mut words);
    words
}

/// The same between two local folders.
pub fn copy_local(source: &Path, target: &Path) -> Vec<String> {
    copy(
        &*local_tree(source).unwrap(),
        &*local_target(target).unwrap(),
    )
}

fn copy_folder(
    folder: &dyn Folder,
    target: &dyn Target,
    at: &mut Vec<Vec<u8>>,
    seen: &mut BTreeMap<(u64, u64), Vec<Vec<u8>>>,
    words: &mut Vec<String>,
) {
    target.folder(at).unwrap();
    for entry in folder.entries().unwrap() {
        let mut entry = entry.map_err(|(n, e)| format!("{n:?}: {e}")).unwrap();
        entry.meta.xattrs = folder.xattrs(&entry.name).unwrap();
        at.push(entry.name.clone());
        if entry.meta.links > 1 && entry.meta.kind != FileType::Folder {
            if let Some(original) = seen.get(&entry.meta.inode) {
                target.hard_link(original, at).unwrap();
                at.pop();
                continue;
            }
            seen.insert(entry.meta.inode, at.clone());
        }
        match &entry.meta.kind {
            FileType::Folder => {
                let inner = folder.folder(&entry.name).unwrap();
                copy_folder(&*inner, target, at, seen, words);
                at.pop();
                continue;
            }
            FileType::File { size } => {
                let mut input = folder.open(&entry.name).unwrap();
                let output = target.file(at, *size).unwrap();
                for (offset, bytes) in pieces(&mut *input) {
                    output.write_at(offset, &bytes).unwrap();
                }
                output.close().unwrap();
            }
            _ => target.special(at, &entry.meta).unwrap(),
        }
        words.extend(target.finish(at, &entry.meta).unwrap());
        at.pop();
    }
    words.extend(target.finish(at, &folder.meta().unwrap()).unwrap());
}

/// The data of a file with offsets, holes left out.
pub fn pieces(input: &mut dyn Input) -> Vec<(u64, Vec<u8>)> {
    let (mut at, mut all) = (0, Vec::new());
    loop {
        at += input.skip_hole().unwrap();
        let mut buf = vec![0; 100_000];
        let n = input.read(&mut buf).unwrap();
        if n == 0 {
            return all;
        }
        buf.truncate(n);
        all.push((at, buf));
        at += n as u64;
    }
}

pub type Seen = BTreeMap<PathBuf, String>;

/// Everything about a tree that a restore promises, by means other than the
/// code under test.
pub fn describe(top: &Path) -> Seen {
    let mut all = Seen::new();
    let mut stack = vec![PathBuf::new()];
    while let Some(at) = stack.pop() {
        let full = top.join(&at);
        let m = fs::symlink_metadata(&full).unwrap();
        let mut xattrs = BTreeMap::new();
        for name in xattr::list(&full).unwrap() {
            let value = xattr::get(&full, &name).unwrap();
            xattrs.insert(name, value);
        }
        let content = if m.is_file() {
            blake3::hash(&fs::read(&full).unwrap()).to_string()
        } else if m.is_symlink() {
            format!("{:?}", fs::read_link(&full).unwrap())
        } else {
            String::new()
        };
        let size = if m.is_dir() { 0 } else { m.len() };
        let links = if m.is_dir() { 0 } else { m.nlink() };
        all.insert(
            at.clone(),
            format!(
                "{:o} {}:{} {}.{:09} {size} {links} {:#x} {content} {xattrs:?}",
                m.mode(),
                m.uid(),
                m.gid(),
                m.mtime(),
                m.mtime_nsec(),
                m.rdev()
            ),
        );
        if m.is_dir() {
            for entry in fs::read_dir(&full).unwrap() {
                stack.push(at.join(entry.unwrap().file_name()));
            }
        }
    }
    all
}

/// Whole seconds, which is what SFTP carries.
pub fn set_time(path: &Path, secs: i64) {
    let t = Timespec {
        tv_sec: secs,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: t,
        last_modification: t,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}

pub fn read_all(input: &mut dyn Input) -> colca::engine::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), vec![0; 100_003]);
    loop {
        match input.read(&mut buf)? {
            0 => return Ok(all),
            n => all.extend_from_slice(&buf[..n]),
        }
    }
}
