//! A real tree of files: a part of the Linux kernel's source, from Debian's
//! package `linux-source`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Unpacks the folders `parts` of the kernel's source (all of it when empty)
/// below `into` and gives its top.
pub fn unpack_kernel(into: &Path, parts: &[&str]) -> Result<PathBuf> {
    let archive = find_archive()?;
    let name = archive
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_suffix(".tar.xz"));
    let name = name.context("the archive has an odd name")?;
    let mut tar = Command::new("tar");
    tar.arg("--directory")
        .arg(into)
        .args(["--use-compress-program", "xz -T0", "--extract", "--file"])
        .arg(&archive);
    tar.args(parts.iter().map(|part| format!("{name}/{part}")));
    ensure!(
        tar.status().context("running tar")?.success(),
        "unpacking {} failed",
        archive.display()
    );
    Ok(into.join(name))
}

fn find_archive() -> Result<PathBuf> {
    for entry in std::fs::read_dir("/usr/src").context("/usr/src")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("linux-source-") && name.ends_with(".tar.xz") {
            return Ok(path);
        }
    }
    bail!("no /usr/src/linux-source-*.tar.xz: install the package linux-source (make setup does)")
}
