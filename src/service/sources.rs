//! The register of sources.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{HostKey, JobKind, NewSource, Service, SourceKind, SourceView};
use crate::appliance::{Record, Sealed};
use crate::engine::tree::Tree;
use crate::engine::{Error, Kind, Result, Snapshot};
use crate::sources::{SftpAuth, SftpConfig, local_tree, sftp_host_key, sftp_tree};

const PREFIX: &str = "source/";
const LONGEST_NAME: usize = 64;
const LONGEST_PATH: usize = 4095;

/// A source as stored; secrets are sealed for its key in the settings.
#[derive(Serialize, Deserialize)]
pub(super) enum SourceRecord {
    Sftp {
        host: String,
        port: u16,
        user: String,
        auth: SealedAuth,
        path: String,
        host_key: String,
        created: Timestamp,
    },
    Local {
        path: String,
        created: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) enum SealedAuth {
    Password(Sealed),
    PrivateKey(Sealed),
}

impl Record for SourceRecord {
    const VERSION: u32 = 1;
}

impl SourceRecord {
    pub fn path(&self) -> &str {
        match self {
            Self::Sftp { path, .. } | Self::Local { path, .. } => path,
        }
    }

    fn origin(&self) -> String {
        match self {
            Self::Sftp {
                host, port, path, ..
            } => match port {
                22 => format!("sftp://{host}{path}"),
                port => format!("sftp://{host}:{port}{path}"),
            },
            Self::Local { path, .. } => path.clone(),
        }
    }
}

impl Service {
    /// Every source, by name, with its newest snapshot.
    pub fn sources(&self) -> Result<Vec<SourceView>> {
        let records = self.state.settings().list::<SourceRecord>(PREFIX)?;
        // While the pool is not open the sources are shown without snapshots.
        let snapshots = match self.repository() {
            Ok(repository) => repository.snapshots()?,
            Err(_) => Vec::new(),
        };
        Ok(records
            .iter()
            .map(|(name, record)| self.source_view(name, record, &snapshots))
            .collect())
    }

    /// One source.
    pub fn source(&self, name: &str) -> Result<SourceView> {
        let record = self.source_record(name)?;
        let snapshots = match self.repository() {
            Ok(repository) => repository.snapshots()?,
            Err(_) => Vec::new(),
        };
        Ok(self.source_view(name, &record, &snapshots))
    }

    /// Registers a source after checking that it can be entered and its
    /// folder is there. A name in use is `Busy`.
    pub fn add_source(&self, new: &NewSource) -> Result<SourceView> {
        let name = new.name();
        check_name(name)?;
        let taken = || {
            Error::new(
                Kind::Busy,
                format!("there is a source {name} already; choose another name"),
            )
        };
        let settings = self.state.settings();
        if settings.get::<SourceRecord>(&key(name))?.is_some() {
            return Err(taken());
        }
        let record = self.record(new)?;
        self.tree_of(name, &record)?.root()?.meta()?;
        if !settings.insert(&key(name), &record)? {
            return Err(taken());
        }
        tracing::info!(source = name, origin = record.origin(), "source registered");
        self.source(name)
    }

    /// Forgets a source; its snapshots stay. `Busy` while it is backed up.
    pub fn remove_source(&self, name: &str) -> Result<()> {
        self.source_record(name)?;
        if let Some(job) = self.active(JobKind::Backup, Some(name)) {
            return Err(Error::new(
                Kind::Busy,
                format!(
                    "job {} is backing {name} up; wait for it or cancel it first",
                    job.id
                ),
            ));
        }
        self.state.settings().remove(&key(name))?;
        tracing::info!(source = name, "source removed");
        Ok(())
    }

    /// Asks an SFTP server for its host key.
    pub fn probe_host_key(&self, host: &str, port: u16) -> Result<HostKey> {
        check_host(host, port)?;
        let host_key = sftp_host_key(host, port)?;
        Ok(HostKey {
            fingerprint: fingerprint(&host_key)?,
            host_key,
        })
    }

    pub(super) fn source_record(&self, name: &str) -> Result<SourceRecord> {
        let missing = || {
            Error::new(
                Kind::Missing,
                format!("there is no source {name:?}; look at the list of sources"),
            )
        };
        check_name(name).map_err(|_| missing())?;
        self.state.settings().get(&key(name))?.ok_or_else(missing)
    }

    /// The source, ready to be read.
    pub(super) fn open_tree(&self, name: &str) -> Result<Box<dyn Tree>> {
        self.tree_of(name, &self.source_record(name)?)
    }

    /// How to enter an SFTP source; `None` for a local one.
    pub(super) fn sftp_config(&self, name: &str) -> Result<Option<SftpConfig>> {
        self.sftp_config_of(name, &self.source_record(name)?)
    }

    fn tree_of(&self, name: &str, record: &SourceRecord) -> Result<Box<dyn Tree>> {
        match self.sftp_config_of(name, record)? {
            Some(config) => sftp_tree(&config),
            None => {
                let path = Path::new(record.path());
                self.check_not_ours(path)?;
                local_tree(path)
            }
        }
    }

    fn sftp_config_of(&self, name: &str, record: &SourceRecord) -> Result<Option<SftpConfig>> {
        let SourceRecord::Sftp {
            host,
            port,
            user,
            auth,
            path,
            host_key,
            ..
        } = record
        else {
            return Ok(None);
        };
        let place = key(name);
        let open = |sealed| self.state.key().open_text(&place, sealed);
        Ok(Some(SftpConfig {
            host: host.clone(),
            port: *port,
            user: user.clone(),
            auth: match auth {
                SealedAuth::Password(sealed) => SftpAuth::Password(open(sealed)?),
                SealedAuth::PrivateKey(sealed) => SftpAuth::PrivateKey(open(sealed)?),
            },
            path: path.clone(),
            host_key: host_key.clone(),
        }))
    }

    /// Checks what was typed and seals its secrets.
    fn record(&self, new: &NewSource) -> Result<SourceRecord> {
        let created = Timestamp::now();
        match new {
            NewSource::Local { path, .. } => {
                check_path("path", path)?;
                Ok(SourceRecord::Local {
                    path: path.clone(),
                    created,
                })
            }
            NewSource::Sftp {
                name,
                host,
                port,
                user,
                password,
                private_key,
                path,
                host_key,
            } => {
                check_host(host, *port)?;
                check_path("path", path)?;
                if user.is_empty() || user.len() > 256 || user.chars().any(char::is_control) {
                    return refuse(
                        "user: the account's name on the server, at most 256 characters",
                    );
                }
                fingerprint(host_key)?;
                let place = key(name);
                let seal = |secret: &str| self.state.key().seal(&place, secret.as_bytes());
                let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
                let auth = match (given(password), given(private_key)) {
                    (Some(password), None) => SealedAuth::Password(seal(&password)?),
                    (None, Some(private)) => SealedAuth::PrivateKey(seal(&private)?),
                    _ => return refuse("give either a password or a private key, not both"),
                };
                Ok(SourceRecord::Sftp {
                    host: host.clone(),
                    port: *port,
                    user: user.clone(),
                    auth,
                    path: path.clone(),
                    host_key: host_key.trim().to_owned(),
                    created,
                })
            }
        }
    }

    fn source_view(&self, name: &str, record: &SourceRecord, snapshots: &[Snapshot]) -> SourceView {
        let last = snapshots.iter().rfind(|snapshot| snapshot.name == name);
        let mut view = SourceView {
            name: name.to_owned(),
            kind: SourceKind::Local,
            origin: record.origin(),
            last: last.cloned(),
            job: self.active(JobKind::Backup, Some(name)).map(|head| head.id),
            path: record.path().to_owned(),
            host: None,
            port: None,
            user: None,
            fingerprint: None,
        };
        if let SourceRecord::Sftp {
            host,
            port,
            user,
            host_key,
            ..
        } = record
        {
            view.kind = SourceKind::Sftp;
            view.host = Some(host.clone());
            view.port = Some(*port);
            view.user = Some(user.clone());
            view.fingerprint = fingerprint(host_key).ok();
        }
        view
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::new(Kind::Refused, text))
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
        return refuse(format!(
            "name: 1 to {LONGEST_NAME} letters (without accents), digits or dashes"
        ));
    }
    Ok(())
}

fn check_host(host: &str, port: u16) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || host.len() > 253 || !host.chars().all(good) {
        return refuse("host: a name or address, such as fs1.example.pe or 192.0.2.7");
    }
    if port == 0 {
        return refuse("port: 1 to 65535, usually 22");
    }
    Ok(())
}

/// Refuses all but absolute folders without `..`; `what` names the field.
pub(super) fn check_path(what: &str, path: &str) -> Result<()> {
    let odd = path.contains('\0') || path.split('/').any(|part| part == "..");
    if !path.starts_with('/') || path.len() > LONGEST_PATH || odd {
        return refuse(format!(
            "{what}: an absolute folder such as /srv/data, without \"..\""
        ));
    }
    Ok(())
}

/// `SHA256:…` of a host key in OpenSSH one-line form.
fn fingerprint(host_key: &str) -> Result<String> {
    let key = russh::keys::PublicKey::from_openssh(host_key.trim()).map_err(|e| {
        let message = "host_key: a line such as \"ssh-ed25519 AAAA…\"; have the server asked for it and compare its fingerprint";
        Error::with_source(Kind::Refused, message, e)
    })?;
    Ok(key.fingerprint(russh::keys::HashAlg::Sha256).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_checked() {
        for name in ["a", "Archivo-01", &"x".repeat(64)] {
            check_name(name).unwrap();
        }
        for name in ["", "a b", "a/b", "año", "..", &"x".repeat(65)] {
            assert_eq!(
                check_name(name).unwrap_err().kind(),
                Kind::Refused,
                "{name}"
            );
        }
        for host in ["", "a b", "-oProxyCommand=x y", "http://x/"] {
            assert!(check_host(host, 22).is_err(), "{host}");
        }
        assert!(check_host("::1", 0).is_err());
        check_host("fe80::1%eth0", 22).unwrap();
        for path in ["", "srv", "/srv/../etc", "/a\0b"] {
            assert!(check_path("path", path).is_err(), "{path:?}");
        }
        check_path("path", "/srv/datos de año").unwrap();
    }

    #[test]
    fn fingerprints_are_those_of_ssh_keygen() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@example.com";
        assert_eq!(
            fingerprint(key).unwrap(),
            "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"
        );
        assert_eq!(
            fingerprint("ssh-ed25519 x").unwrap_err().kind(),
            Kind::Refused
        );
    }
}
