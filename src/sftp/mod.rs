//! A client of SFTP file servers, for whoever keeps or finds files there: the
//! sources (backup and restore) and the external provider.
//!
//! [`wire`] knows the packets, [`ssh`] gets a channel open, [`lane`] lets many
//! threads speak on it, [`client`] keeps a few of them alive, [`files`] has what
//! takes more than one request.

pub(crate) mod client;
pub(crate) mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
pub(crate) mod lane;
mod ssh;
pub(crate) mod wire;

use serde::{Deserialize, Serialize};

use crate::engine::Result;

/// How to prove who we are to an SFTP server.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SftpAuth {
    /// A password.
    Password(String),
    /// A private key in OpenSSH format, without passphrase.
    PrivateKey(String),
}

/// An SFTP file server and a folder on it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SftpConfig {
    /// Name or address.
    pub host: String,
    /// Port, usually 22.
    pub port: u16,
    /// Account.
    pub user: String,
    /// Password or key.
    pub auth: SftpAuth,
    /// Absolute folder on the server.
    pub path: String,
    /// The pinned host key in OpenSSH one-line form (`ssh-ed25519 AAAA…`). Any other key is refused.
    pub host_key: String,
}

/// Asks a server for its host key (OpenSSH one-line form) without logging in, so that a person can compare and pin it.
pub fn sftp_host_key(host: &str, port: u16) -> Result<String> {
    let runtime = client::runtime()?;
    let owned = host.to_owned();
    let key = client::wait_for(&runtime, async move { ssh::host_key(&owned, port).await });
    runtime.shutdown_background();
    key
}

/// The type bits of `st_mode`.
pub(crate) const S_IFMT: u32 = 0o170_000;
/// A folder, among them.
pub(crate) const S_IFDIR: u32 = 0o040_000;

/// `folder/name`, for `/` too.
pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The folder of a configuration, without slashes at its end.
pub(crate) fn top(config: &SftpConfig) -> Vec<u8> {
    let path = config.path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path }.into()
}

/// A path for messages.
pub(crate) fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
