//! Where a provider is, as one address, and how it is opened.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Access, Flavor, Folder, LockMode, S3, S3Config, Sftp, Style};
use crate::engine::storage::Storage;
use crate::engine::{Error, Kind, Result};
use crate::sftp::{SftpAuth, SftpConfig, sftp_host_key};

/// Where a provider is and how to enter.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// A plain folder: a mounted share, a disk.
    Folder(PathBuf),
    /// A folder on an SFTP server.
    Sftp(SftpConfig),
    /// A bucket.
    S3(S3Config),
}

/// What an address does not say.
#[derive(Clone, Default)]
pub struct Given {
    /// `https://host[:port]` of S3.
    pub endpoint: Option<String>,
    /// Region of S3.
    pub region: Option<String>,
    /// Access key id of S3.
    pub access_key: Option<String>,
    /// Secret key of S3.
    pub secret_key: Option<String>,
    /// PEM of a private certificate authority.
    pub ca_pem: Option<String>,
    /// How addresses of S3 are written.
    pub style: Style,
    /// Which S3 it is.
    pub flavor: Flavor,
    /// Storage class of new objects.
    pub storage_class: Option<String>,
    /// Lock what is stored.
    pub lock: Option<LockMode>,
    /// Password of an SFTP server.
    pub password: Option<String>,
    /// Private key for an SFTP server, OpenSSH format.
    pub private_key: Option<String>,
    /// The pinned host key of an SFTP server, OpenSSH one-line form.
    pub host_key: Option<String>,
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::new(Kind::Refused, text))
}

impl Config {
    /// Reads `s3://bucket[/prefix]`, `sftp://user@host[:port]/path`, or the
    /// path of a folder.
    ///
    /// # Errors
    /// `Refused`, naming what is lacking. A server's host key that was not
    /// given is asked for and shown, for a person to compare.
    pub fn parse(url: &str, given: &Given) -> Result<Self> {
        if let Some(rest) = url.strip_prefix("s3://") {
            return Self::s3(rest, given);
        }
        if let Some(rest) = url.strip_prefix("sftp://") {
            return Self::sftp(url, rest, given);
        }
        if url.contains("://") {
            return refuse(format!(
                "{url} is no address of a provider; give s3://bucket/prefix, sftp://user@host/path or a folder"
            ));
        }
        Ok(Self::Folder(url.into()))
    }

    fn s3(rest: &str, given: &Given) -> Result<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let region = given.region.clone().unwrap_or_else(|| "us-east-1".into());
        let endpoint = match (&given.endpoint, given.flavor) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Flavor::Aws) => format!("https://s3.{region}.amazonaws.com"),
            _ => {
                return refuse(
                    "no endpoint: give --endpoint https://host[:port] of the S3 provider",
                );
            }
        };
        Ok(Self::S3(S3Config {
            endpoint,
            region,
            bucket: bucket.into(),
            prefix: prefix.into(),
            access_key: given.access_key.clone().unwrap_or_default(),
            secret_key: given.secret_key.clone().unwrap_or_default(),
            ca_pem: given.ca_pem.clone(),
            style: given.style,
            flavor: given.flavor,
            storage_class: given.storage_class.clone(),
            lock: given.lock,
        }))
    }

    fn sftp(url: &str, rest: &str, given: &Given) -> Result<Self> {
        let form = || {
            refuse(format!(
                "{url} is not complete; write sftp://user@host:port/path, without a password"
            ))
        };
        let Some((server, path)) = rest.split_once('/') else {
            return form();
        };
        let Some((user, server)) = server.rsplit_once('@') else {
            return form();
        };
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let Ok(port) = port.parse() else {
                    return form();
                };
                (host, port)
            }
            _ => (server, 22),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if user.is_empty() || user.contains(':') || host.is_empty() {
            return form();
        }
        let auth = match (&given.private_key, &given.password) {
            (Some(key), _) => SftpAuth::PrivateKey(key.clone()),
            (None, Some(password)) => SftpAuth::Password(password.clone()),
            (None, None) => {
                return refuse(format!(
                    "nothing to log in with at {host}: give --identity FILE (a private key), or COLCA_SFTP_PASSWORD"
                ));
            }
        };
        let Some(host_key) = given.host_key.clone() else {
            let shown = sftp_host_key(host, port)?;
            return refuse(format!(
                "no host key is given for {host}; the server shows this one, compare it with what its administrator says and give it: --host-key '{shown}'"
            ));
        };
        Ok(Self::Sftp(SftpConfig {
            host: host.into(),
            port,
            user: user.into(),
            auth,
            path: format!("/{path}"),
            host_key,
        }))
    }
}

/// The address, without secrets.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Sftp(c) => write!(f, "sftp://{}@{}:{}{}", c.user, c.host, c.port, c.path),
            Self::S3(c) => {
                write!(
                    f,
                    "s3://{}/{} at {}",
                    c.bucket,
                    c.prefix.trim_matches('/'),
                    c.endpoint
                )
            }
        }
    }
}

/// An open provider.
pub enum Provider {
    /// See [`Folder`].
    Folder(Folder),
    /// See [`Sftp`].
    Sftp(Box<Sftp>),
    /// See [`S3`].
    S3(Box<S3>),
}

impl Provider {
    /// Connects and checks access.
    ///
    /// # Errors
    /// As the provider's own `open`.
    pub fn open(config: &Config, access: Access) -> Result<Self> {
        Ok(match config {
            Config::Folder(path) => Self::Folder(Folder::open_with(path, access)?),
            Config::Sftp(config) => Self::Sftp(Box::new(Sftp::open(config, access)?)),
            Config::S3(config) => Self::S3(Box::new(S3::open_with(config, access)?)),
        })
    }

    /// As a storage.
    pub fn storage(&self) -> &dyn Storage {
        match self {
            Self::Folder(folder) => folder,
            Self::Sftp(sftp) => &**sftp,
            Self::S3(s3) => &**s3,
        }
    }

    /// As a storage that owns itself.
    pub fn into_storage(self) -> Box<dyn Storage> {
        match self {
            Self::Folder(folder) => Box::new(folder),
            Self::Sftp(sftp) => sftp,
            Self::S3(s3) => s3,
        }
    }

    /// What only S3 can: locks and versions.
    pub fn s3(&self) -> Option<&S3> {
        match self {
            Self::S3(s3) => Some(s3),
            _ => None,
        }
    }
}

/// Opens a replica to read only, for a restore without the box: the engine
/// opens a repository from it with the recovery words. `url` as in
/// [`Config::parse`]. Nothing is changed there. What a mark of deletion hides in a
/// bucket with versions is shown.
///
/// # Errors
/// As [`Config::parse`] and [`Provider::open`]; `Missing` when no repository is there.
pub fn open_replica(url: &str, given: &Given) -> Result<Box<dyn Storage>> {
    let config = Config::parse(url, given)?;
    let storage = Provider::open(&config, Access::reading())?.into_storage();
    match storage.get_range(&crate::engine::storage::Name::Header, 0, 1) {
        Err(e) if e.kind() == Kind::Missing => Err(Error::with_source(
            Kind::Missing,
            format!("{config} holds no replica; check bucket, prefix or folder"),
            e,
        )),
        Err(e) => Err(e),
        Ok(_) => Ok(storage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        let given = Given {
            endpoint: Some("https://s3.example:7480".into()),
            secret_key: Some("hush".into()),
            password: Some("hush".into()),
            host_key: Some("ssh-ed25519 AAAA".into()),
            ..Given::default()
        };
        for (url, shown) in [
            ("s3://b", "s3://b/ at https://s3.example:7480"),
            ("s3://b/p/q/", "s3://b/p/q at https://s3.example:7480"),
            ("sftp://u@h/p", "sftp://u@h:22/p"),
            ("sftp://u@h:2222/p/q", "sftp://u@h:2222/p/q"),
            ("sftp://u@[::1]:22/p", "sftp://u@::1:22/p"),
            ("/mnt/replica", "/mnt/replica"),
        ] {
            assert_eq!(Config::parse(url, &given).unwrap().to_string(), shown);
        }
        for bad in [
            "ftp://h/p",
            "sftp://h/p",
            "sftp://u@h",
            "sftp://u:secret@h/p",
            "sftp://u@h:port/p",
        ] {
            let Err(e) = Config::parse(bad, &given) else {
                panic!("{bad} was taken");
            };
            assert_eq!(e.kind(), Kind::Refused, "{e}");
        }
        let Err(e) = Config::parse("s3://b", &Given::default()) else {
            panic!("no endpoint was given");
        };
        assert!(e.to_string().contains("--endpoint"), "{e}");
    }
}
