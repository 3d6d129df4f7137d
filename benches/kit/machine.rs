//! What a raw file says of the machine: enough to judge the figures, nothing
//! that tells whose machine it is.

use std::path::Path;
use std::process::Command;

use rustix::fs::statfs;

fn field(file: &str, name: &str) -> String {
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Threads that run at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Date and machine, as the name of a run's files.
pub fn run_name() -> String {
    let now = jiff::Zoned::now();
    format!("{}-{}", now.strftime("%Y-%m-%d-%H%M"), word())
}

/// A short word for the machine.
fn word() -> String {
    let mut out = String::new();
    for c in field("/proc/cpuinfo", "model name").to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    format!("{}-{}-cores", out.trim_matches('-'), cores())
}

/// Whether Colca was built in pieces that need not be built again, which is
/// quicker to build but not what ships, and slower.
pub fn quick_build() -> bool {
    std::env::var("CARGO_PROFILE_RELEASE_INCREMENTAL").is_ok_and(|set| set == "true" || set == "1")
}

/// Processor, memory, kernel, the file system below `dir`, and the commit measured.
pub fn facts(dir: &Path) -> Vec<(String, String)> {
    let uname = rustix::system::uname();
    let git = |arguments: &[&str]| {
        let out = Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        out.map_or_else(
            |_| String::new(),
            |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        )
    };
    let changed = match git(&["status", "--porcelain", "--", "src", "Cargo.lock"]).is_empty() {
        true => "",
        false => " and changes",
    };
    let facts = [
        (
            "date",
            jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %z").to_string(),
        ),
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", cores().to_string()),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("kernel", uname.release().to_string_lossy().into_owned()),
        ("file system", file_system(dir)),
        (
            "commit",
            format!("{}{changed}", git(&["rev-parse", "--short", "HEAD"])),
        ),
    ];
    let mut facts: Vec<(String, String)> =
        facts.map(|(name, value)| (name.to_owned(), value)).into();
    if quick_build() {
        facts.push(("build".to_owned(), "incremental; not what ships".to_owned()));
    }
    facts
}

/// The kind of file system that holds `dir`.
fn file_system(dir: &Path) -> String {
    match statfs(dir).map(|s| s.f_type as u32) {
        Ok(0xef53) => "ext4".into(),
        Ok(0x0102_1994) => "tmpfs".into(),
        Ok(0x5846_5342) => "xfs".into(),
        Ok(0x9123_683e) => "btrfs".into(),
        Ok(0x794c_7630) => "overlay".into(),
        Ok(magic) => format!("{magic:#x}"),
        Err(e) => e.to_string(),
    }
}
