//! OpenSSH: a file server as a ministry has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Daemon, free_port, random_text, run};

/// A real OpenSSH server with SFTP.
pub struct Sshd {
    /// Port on loopback.
    pub port: u16,
    /// The current user's name, who enters with the key.
    pub user: String,
    /// Private key of the current user, OpenSSH form.
    pub private_key: String,
    /// The file it is in.
    pub private_key_file: PathBuf,
    /// The server's public host key, `ssh-ed25519 AAAA…`.
    pub host_key: String,
    /// A user who enters with a password and may do what root may, when the
    /// server was started by root: name and password. The user exists for this
    /// server only (a private mount of the password files).
    pub password_user: Option<(String, String)>,
    _daemon: Daemon,
}

impl Sshd {
    /// Starts it with keys, configuration and log in `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        let dir = fs::canonicalize(dir)?;
        let keygen = |file: &str| {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(dir.join(file)))
        };
        keygen("host_key")?;
        keygen("user_key")?;
        fs::copy(dir.join("user_key.pub"), dir.join("authorized_keys"))?;
        let port = free_port()?;
        let d = dir.display();
        let root = rustix::process::geteuid().is_root();
        fs::write(
            dir.join("sshd_config"),
            format!(
                "Port {port}
ListenAddress 127.0.0.1
HostKey {d}/host_key
AuthorizedKeysFile {d}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication {}
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
LogLevel VERBOSE
",
                if root { "yes" } else { "no" }
            ),
        )?;
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"]
            .into_iter()
            .find(|p| Path::new(p).exists())
            .context("sshd is not installed (package openssh-server)")?;
        let mut password_user = None;
        let mut command = if root {
            fs::create_dir_all("/run/sshd")?;
            password_user = Some(Self::add_user(&dir)?);
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "sh", "-ec"])
                .arg(
                    r#"mount --bind "$1/passwd" /etc/passwd
                    mount --bind "$1/shadow" /etc/shadow
                    exec "$2" -D -e -f "$1/sshd_config""#,
                )
                .arg("sh")
                .arg(&dir)
                .arg(sshd);
            command
        } else {
            let mut command = Command::new(sshd);
            command
                .args(["-D", "-e", "-f"])
                .arg(dir.join("sshd_config"));
            command
        };
        let mut daemon = Daemon::start("sshd", &dir, &mut command)?;
        daemon.wait_for(port, Duration::from_secs(20))?;
        Ok(Self {
            port,
            user: run(Command::new("id").arg("-un"))?.trim().to_owned(),
            private_key: fs::read_to_string(dir.join("user_key"))?,
            private_key_file: dir.join("user_key"),
            host_key: fs::read_to_string(dir.join("host_key.pub"))?
                .trim()
                .to_owned(),
            password_user,
            _daemon: daemon,
        })
    }

    /// Copies the password files and adds a user with root's rights.
    fn add_user(dir: &Path) -> Result<(String, String)> {
        let (name, password) = ("respaldo".to_owned(), random_text()?);
        let hash = run(Command::new("perl")
            .args([
                "-e",
                "print crypt($ARGV[0], '$6$' . substr($ARGV[0], 0, 8) . '$')",
            ])
            .arg(&password))?;
        let passwd = fs::read_to_string("/etc/passwd")?;
        let shadow = fs::read_to_string("/etc/shadow")?;
        let home = dir.display();
        fs::write(
            dir.join("passwd"),
            format!("{passwd}{name}:x:0:0::{home}:/bin/sh\n"),
        )?;
        let file = dir.join("shadow");
        fs::write(&file, format!("{shadow}{name}:{hash}:19000:0:99999:7:::\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok((name, password))
    }
}
