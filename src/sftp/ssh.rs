//! Getting from a host name to an open SFTP channel: connection, pinned host
//! key, login.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, KeyboardInteractiveAuthResponse as Asked};
use russh::keys::{
    Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate,
};
use russh::{Channel, ChannelMsg, MethodKind, cipher};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::{SftpAuth, SftpConfig};
use crate::engine::{Error, Kind, Result};

/// How long connecting and logging in may take in all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration whose keys have been read, so that what is wrong with them
/// is said before anything is connected.
pub(crate) struct Login {
    host: String,
    port: u16,
    user: String,
    pinned: PublicKey,
    proof: Proof,
}

enum Proof {
    Password(Zeroizing<String>),
    Key(Arc<PrivateKey>),
}

/// An open channel on which an SFTP server speaks, and the connection that carries it.
pub(crate) struct Opened {
    pub channel: Channel<client::Msg>,
    /// Dropping it ends the connection.
    pub connection: client::Handle<Gate>,
}

impl Login {
    pub fn new(config: &SftpConfig) -> Result<Self> {
        let server = format!("{}:{}", config.host, config.port);
        let pinned = PublicKey::from_openssh(config.host_key.trim()).map_err(|e| {
            Error::new(
                Kind::Refused,
                format!(
                    "the pinned host key of {server} is not an OpenSSH public key ({e}); ask the server for its key again and compare it"
                ),
            )
        })?;
        let proof = match &config.auth {
            SftpAuth::Password(p) => Proof::Password(Zeroizing::new(p.clone())),
            SftpAuth::PrivateKey(text) => {
                let key = russh::keys::decode_secret_key(text, None).map_err(|e| {
                    let why = match e {
                        russh::keys::Error::KeyIsEncrypted => {
                            "it is protected by a passphrase; give one without".to_owned()
                        }
                        e => format!(
                            "{e}; give it in OpenSSH format, whole, as ssh-keygen writes it"
                        ),
                    };
                    Error::new(
                        Kind::Refused,
                        format!(
                            "the private key for {}@{server} cannot be used: {why}",
                            config.user
                        ),
                    )
                })?;
                if key.is_encrypted() {
                    return Err(Error::new(
                        Kind::Refused,
                        format!(
                            "the private key for {}@{server} is protected by a passphrase; give one without",
                            config.user
                        ),
                    ));
                }
                Proof::Key(Arc::new(key))
            }
        };
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            user: config.user.clone(),
            pinned,
            proof,
        })
    }

    /// Connects, checks the host key, logs in and starts the SFTP subsystem.
    pub async fn open(&self) -> Result<Opened> {
        let work = async {
            let (mut connection, _) = reach(&self.host, self.port, Some(&self.pinned)).await?;
            self.authenticate(&mut connection).await?;
            let failed = |e| self.broken("opening an SFTP channel", e);
            let mut channel = connection.channel_open_session().await.map_err(failed)?;
            channel
                .request_subsystem(true, "sftp")
                .await
                .map_err(failed)?;
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => {
                        return Ok(Opened {
                            channel,
                            connection,
                        });
                    }
                    Some(ChannelMsg::Failure) => return Err(failed(russh::Error::RequestDenied)),
                    Some(_) => {}
                    None => return Err(failed(russh::Error::HUP)),
                }
            }
        };
        tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| Err(silent(&self.host, self.port)))
    }

    async fn authenticate(&self, connection: &mut client::Handle<Gate>) -> Result<()> {
        let failed = |e| self.broken("logging in", e);
        let user = self.user.as_str();
        let (mut answer, what) = match &self.proof {
            Proof::Password(password) => (
                connection
                    .authenticate_password(user, password.as_str())
                    .await
                    .map_err(failed)?,
                "password",
            ),
            Proof::Key(key) => {
                let hash = if key.algorithm().is_rsa() {
                    connection.best_supported_rsa_hash().await.map_err(failed)?
                } else {
                    None
                };
                let key = PrivateKeyWithHashAlg::new(key.clone(), hash.flatten());
                (
                    connection
                        .authenticate_publickey(user, key)
                        .await
                        .map_err(failed)?,
                    "key",
                )
            }
        };
        if let (
            Proof::Password(password),
            AuthResult::Failure {
                remaining_methods, ..
            },
        ) = (&self.proof, &answer)
        {
            // Servers that ask through PAM know passwords only as an answer to a question.
            if remaining_methods.contains(&MethodKind::KeyboardInteractive) {
                answer = self
                    .answer_questions(connection, password)
                    .await
                    .map_err(failed)?;
            }
        }
        match answer {
            AuthResult::Success => Ok(()),
            AuthResult::Failure {
                remaining_methods, ..
            } => {
                if remaining_methods.is_empty() && connection.is_closed() {
                    return Err(Error::new(
                        Kind::Transient,
                        format!(
                            "{}:{} closed the connection during login; try again later",
                            self.host, self.port
                        ),
                    ));
                }
                let offers: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
                Err(Error::new(
                    Kind::Refused,
                    format!(
                        "{}:{} refused the {what} of user {user} (it would accept: {}); check user and {what}",
                        self.host,
                        self.port,
                        if offers.is_empty() {
                            "nothing".into()
                        } else {
                            offers.join(", ")
                        }
                    ),
                ))
            }
        }
    }

    async fn answer_questions(
        &self,
        connection: &mut client::Handle<Gate>,
        password: &str,
    ) -> Result<AuthResult, russh::Error> {
        let mut asked = connection
            .authenticate_keyboard_interactive_start(self.user.as_str(), None)
            .await?;
        // One question is the password; a second one is something we cannot know.
        let mut answered = false;
        loop {
            let answers = match asked {
                Asked::Success => return Ok(AuthResult::Success),
                Asked::Failure {
                    remaining_methods,
                    partial_success,
                } => {
                    return Ok(AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    });
                }
                Asked::InfoRequest { prompts, .. } => match &prompts[..] {
                    [] => Vec::new(),
                    [one] if !one.echo && !answered => {
                        answered = true;
                        vec![password.to_owned()]
                    }
                    more => vec![String::new(); more.len()],
                },
            };
            asked = connection
                .authenticate_keyboard_interactive_respond(answers)
                .await?;
        }
    }

    fn broken(&self, what: &str, e: russh::Error) -> Error {
        broken(&self.host, self.port, what, e)
    }
}

/// The server's host key, without logging in.
pub(crate) async fn host_key(host: &str, port: u16) -> Result<String> {
    let work = async {
        let seen = reach(host, port, None).await?.1;
        seen.to_openssh().map_err(|e| {
            Error::with_source(
                Kind::Io,
                format!("the host key of {host}:{port} cannot be written as text: {e}"),
                e,
            )
        })
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(silent(host, port)))
}

fn silent(host: &str, port: u16) -> Error {
    Error::new(
        Kind::Transient,
        format!(
            "{host}:{port} did not answer within {} seconds; check that it is an SSH server and that it is up",
            PATIENCE.as_secs()
        ),
    )
}

fn broken(host: &str, port: u16, what: &str, e: russh::Error) -> Error {
    use russh::Error as E;
    let (kind, hint) = match &e {
        E::NoCommonAlgo { .. } | E::Version | E::UnknownAlgo => (
            Kind::Refused,
            "; the server is too old to be spoken to safely",
        ),
        E::ChannelOpenFailure(_) | E::RequestDenied => {
            (Kind::Refused, "; does the server offer SFTP to this user?")
        }
        _ => (Kind::Transient, "; try again later"),
    };
    Error::with_source(kind, format!("{what} at {host}:{port}: {e}{hint}"), e)
}

/// Decides whether the server is the one that was pinned.
pub(crate) struct Gate {
    pinned: Option<PublicKey>,
    /// What the server showed.
    seen: Arc<Mutex<Option<PublicKey>>>,
}

impl client::Handler for Gate {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        // Certificates are not asked for, so none is accepted.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        Ok(match &self.pinned {
            Some(pinned) => pinned.key_data() == key.key_data(),
            None => true,
        })
    }
}

/// Connects and exchanges keys. Without a pinned key any server is spoken to
/// (nothing secret is said before the login).
async fn reach(
    host: &str,
    port: u16,
    pinned: Option<&PublicKey>,
) -> Result<(client::Handle<Gate>, PublicKey)> {
    let stream = TcpStream::connect((host, port)).await.map_err(|e| {
        // Whatever hinders a connection, a name unknown today included, may pass.
        Error::with_source(
            Kind::Transient,
            format!("connecting to {host}:{port}: {e}; check address and port, and that the server is up"),
            e,
        )
    })?;
    // Small requests must not wait for more to fill a packet. Only speed depends on it.
    let _ = stream.set_nodelay(true);
    let seen = Arc::new(Mutex::new(None));
    let gate = Gate {
        pinned: pinned.cloned(),
        seen: seen.clone(),
    };
    let connected = client::connect_stream(Arc::new(settings(pinned)), stream, gate).await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connected, seen, pinned) {
        (Ok(connection), Some(seen), _) => Ok((connection, seen)),
        (Err(russh::Error::UnknownKey), Some(seen), Some(pinned)) => Err(Error::new(
            Kind::Refused,
            format!(
                "{host}:{port} shows the host key {} but {} was pinned; it may be another server in its place. Compare the key on the server itself before pinning the new one",
                show(&seen),
                show(pinned)
            ),
        )),
        (Ok(_), None, _) => Err(broken(host, port, "connecting", russh::Error::UnknownKey)),
        (Err(e), ..) => Err(broken(host, port, "connecting", e)),
    }
}

/// Type and fingerprint, as `ssh-keygen -l` shows them.
fn show(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn settings(pinned: Option<&PublicKey>) -> client::Config {
    let mut preferred = russh::Preferred::DEFAULT;
    // Hardware does AES; the order of the rest is the library's.
    let mut ciphers = vec![cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];
    for c in preferred.cipher.iter() {
        if !ciphers.contains(c) {
            ciphers.push(*c);
        }
    }
    preferred.cipher = Cow::Owned(ciphers);
    if let Some(pinned) = pinned {
        // A server has several host keys; it must show the one we know.
        let same = |a: &Algorithm| match a {
            Algorithm::Rsa { .. } => pinned.algorithm().is_rsa(),
            a => *a == pinned.algorithm(),
        };
        let (mut keys, rest): (Vec<_>, Vec<_>) = preferred.key.iter().cloned().partition(same);
        keys.extend(rest);
        preferred.key = Cow::Owned(keys);
    }
    client::Config {
        preferred,
        // Room for the read-ahead of several files.
        window_size: 16 << 20,
        maximum_packet_size: 32 << 10,
        channel_buffer_size: 512,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 3,
        ..client::Config::default()
    }
}
