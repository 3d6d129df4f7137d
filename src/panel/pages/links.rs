//! Every address of the panel's pages in one place.

use crate::panel::paths;

/// Is everything well?
pub const TODAY: &str = "/";
/// First boot: taking possession of the box.
pub const CLAIM: &str = "/claim";
/// Login.
pub const LOGIN: &str = "/login";
/// Logout (post only).
pub const LOGOUT: &str = "/logout";
/// Switches to Spanish.
pub const SPANISH: &str = "/language/es";
/// Switches to English.
pub const ENGLISH: &str = "/language/en";
/// Disks and pool.
pub const DISKS: &str = "/disks";
/// Second step of making the pool.
pub const NEW_POOL: &str = "/disks/pool";
/// Looks for disks again (post only).
pub const RESCAN: &str = "/disks/rescan";
/// Disks that join the pool.
pub const ADD_DISKS: &str = "/disks/add";
/// A disk takes the place of another.
pub const REPLACE: &str = "/disks/replace";
/// A disk leaves the pool.
pub const RETIRE: &str = "/disks/retire";
/// A disk stays after all (post only).
pub const KEEP: &str = "/disks/keep";
/// How far a disk that leaves is.
pub const LEAVING: &str = "/disks/leaving";
/// How the pool is looked after (post only).
pub const CARE: &str = "/disks/care";
/// Reads everything (post only).
pub const SCRUB: &str = "/disks/scrub";
/// The recovery words, until they are confirmed.
pub const WORDS: &str = "/disks/words";
/// What opens the pool.
pub const KEYS: &str = "/disks/keys";
/// Opens a pool by hand (post only, as all that follow here).
pub const KEYS_OPEN: &str = "/disks/keys/open";
/// Adds a passphrase.
pub const KEYS_PASSPHRASE: &str = "/disks/keys/passphrase";
/// Lets the box's TPM open the pool.
pub const KEYS_TPM: &str = "/disks/keys/tpm";
/// Removes a way in.
pub const KEYS_REMOVE: &str = "/disks/keys/remove";
/// Makes new recovery words.
pub const KEYS_WORDS: &str = "/disks/keys/words";
/// Changes the key.
pub const KEYS_CHANGE: &str = "/disks/keys/change";
/// Checks everything stored (post only).
pub const VERIFY: &str = "/disks/verify";
/// Where data comes from.
pub const SOURCES: &str = "/sources";
/// Adding a source: which kind.
pub const NEW_SOURCE: &str = "/add-source";
/// Adding a folder of this box.
pub const NEW_LOCAL: &str = "/add-source/local";
/// Adding a file server over SFTP: its key is asked for.
pub const NEW_SFTP: &str = "/add-source/sftp";
/// Second step: with the server's key compared.
pub const NEW_SFTP_KEY: &str = "/add-source/sftp/key";
/// What is kept.
pub const SNAPSHOTS: &str = "/snapshots";
/// Finding files by name.
pub const FIND: &str = "/find";
/// The external provider.
pub const PROVIDER: &str = "/provider";
/// Replicates now (post only).
pub const REPLICATE: &str = "/provider/replicate";
/// Inspects the replica now (post only).
pub const INSPECT: &str = "/provider/verify";
/// Probes the provider's lock now (post only).
pub const PROBE: &str = "/provider/probe";
/// What the box did.
pub const JOBS: &str = "/jobs";

/// A source's page.
pub fn source(name: &str) -> String {
    format!("{SOURCES}/{}", encode(name))
}

/// Starts a backup of a source (post only).
pub fn run(name: &str) -> String {
    format!("{}/run", source(name))
}

/// Asks before a source is forgotten, and does it.
pub fn remove_source(name: &str) -> String {
    format!("{}/remove", source(name))
}

/// A disk's page.
pub fn disk(called: &str) -> String {
    format!("{DISKS}/disk/{}", encode(called))
}

/// Which disk takes the place of this one.
pub fn replace(old: &str) -> String {
    format!("{REPLACE}?old={}", encode(old))
}

/// Asks before a disk leaves.
pub fn retire(old: &str) -> String {
    format!("{RETIRE}?old={}", encode(old))
}

/// How far a disk that leaves, for another, is.
pub fn leaving(old: &str, new: Option<&str>) -> String {
    let new = new.map_or_else(String::new, |new| format!("&new={}", encode(new)));
    format!("{LEAVING}?old={}{new}", encode(old))
}

/// Lets a disk show itself (post only).
pub fn identify(called: &str) -> String {
    format!("{}/identify", disk(called))
}

/// Lets a disk test itself shortly (post only).
pub fn short_test(called: &str) -> String {
    format!("{}/short-test", disk(called))
}

/// Lets a disk test all of itself (post only).
pub fn long_test(called: &str) -> String {
    format!("{}/long-test", disk(called))
}

/// A job's page.
pub fn job(id: impl std::fmt::Display) -> String {
    format!("{JOBS}/{id}")
}

/// A job's live figures. The short form is one line for lists.
pub fn live(id: impl std::fmt::Display, short: bool) -> String {
    let query = if short { "?short=1" } else { "" };
    format!("{JOBS}/{id}/live{query}")
}

/// Asks a job to stop (post only).
pub fn cancel(id: impl std::fmt::Display) -> String {
    format!("{JOBS}/{id}/cancel")
}

/// The snapshots of one source.
pub fn snapshots_of(source: &str) -> String {
    format!("{SNAPSHOTS}?source={}", encode(source))
}

/// A snapshot's file browser at `path`.
pub fn files<N: AsRef<[u8]>>(snapshot: &str, path: &[N]) -> String {
    at(&format!("{SNAPSHOTS}/{}", encode(snapshot)), path)
}

/// The part of a folder that begins after the name `after`.
pub fn files_after<N: AsRef<[u8]>>(snapshot: &str, path: &[N], after: &[u8]) -> String {
    let path = paths::encode(path);
    let after = paths::encode(&[after]);
    format!("{SNAPSHOTS}/{}?path={path}&after={after}", encode(snapshot))
}

/// Download of what is at `path`.
pub fn download<N: AsRef<[u8]>>(snapshot: &str, path: &[N]) -> String {
    at(&format!("{SNAPSHOTS}/{}/download", encode(snapshot)), path)
}

/// The form to restore what is at `path`, and its target.
pub fn restore<N: AsRef<[u8]>>(snapshot: &str, path: &[N]) -> String {
    at(&format!("{SNAPSHOTS}/{}/restore", encode(snapshot)), path)
}

fn at<N: AsRef<[u8]>>(base: &str, path: &[N]) -> String {
    if path.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?path={}", paths::encode(path))
    }
}

/// An address with the page to come back to.
pub fn with_next(address: &str, next: &str) -> String {
    format!("{address}?next={}", encode(next))
}

/// `target` if it is a page of ours, else the first page: nobody is sent
/// to another site by a prepared address.
pub fn ours(target: &str) -> &str {
    let plain = target.starts_with('/')
        && !target.starts_with("//")
        && !target.contains('\\')
        && !target.chars().any(char::is_control);
    if plain { target } else { TODAY }
}

/// One segment of a path, or one value of a query.
pub fn encode(text: &str) -> String {
    paths::encode(&[text])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_in_addresses() {
        assert_eq!(source("ñ/a b"), "/sources/%C3%B1%2Fa%20b");
        assert_eq!(
            files("ab", &[&b"a\xff"[..], b"b?c"]),
            "/snapshots/ab?path=a%FF/b%3Fc"
        );
        assert_eq!(files::<&[u8]>("ab", &[]), "/snapshots/ab");
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(ours("/snapshots?x=1"), "/snapshots?x=1");
        for bad in [
            "//evil",
            "https://evil",
            "/\\evil",
            "",
            "evil",
            "/a\r\nb",
            "/\t/evil",
        ] {
            assert_eq!(ours(bad), "/", "{bad:?}");
        }
    }
}
