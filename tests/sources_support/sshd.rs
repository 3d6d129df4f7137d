//! A real OpenSSH server on a free port, and a line to it that can be cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use colca::sources::{SftpAuth, SftpConfig};

/// An OpenSSH server with keys of its own; ended when dropped.
pub struct Sshd {
    process: Child,
    pub port: u16,
    pub host_key: String,
    /// A private key that is let in.
    pub key: String,
    dir: tempfile::TempDir,
}

pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?} is needed by this test: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key pair; gives private and public key.
pub fn keygen(dir: &Path, name: &str, kind: &str) -> (String, String) {
    let file = dir.join(name);
    run(Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "", "-t", kind, "-f"])
        .arg(&file));
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    (fs::read_to_string(file).unwrap(), public.trim().into())
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Sshd {
    pub fn start() -> Self {
        Self::start_with("ed25519", "")
    }

    /// With a host key of a kind, and more lines for its configuration.
    pub fn start_with(kind: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let (_, host_key) = keygen(at, "host", kind);
        let (key, public) = keygen(at, "client", "ed25519");
        let (_, rsa) = keygen(at, "client_rsa", "rsa");
        fs::write(at.join("authorized"), format!("{public}\n{rsa}\n")).unwrap();
        // Where OpenSSH puts processes that know nothing yet.
        fs::create_dir_all("/run/sshd").unwrap();
        let port = free_port();
        let subsystem = if more.contains("Subsystem") {
            ""
        } else {
            "Subsystem sftp internal-sftp"
        };
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication yes\n\
             {subsystem}\nLogLevel VERBOSE\n{more}\n",
            at.display()
        );
        fs::write(at.join("config"), config).unwrap();
        // Other users must reach their authorized keys.
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        let process = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at.join("config"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(at.join("log")).unwrap())
            .spawn()
            .expect("OpenSSH's server is needed by this test");
        let mut sshd = Self {
            process,
            port,
            host_key,
            key,
            dir,
        };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = sshd.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "sshd did not start: {}",
                sshd.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn rsa_key(&self) -> String {
        fs::read_to_string(self.dir.path().join("client_rsa")).unwrap()
    }

    /// Root by key, to a folder.
    pub fn config(&self, path: &Path) -> SftpConfig {
        SftpConfig {
            host: "127.0.0.1".into(),
            port: self.port,
            user: "root".into(),
            auth: SftpAuth::PrivateKey(self.key.clone()),
            path: path.to_str().unwrap().into(),
            host_key: self.host_key.clone(),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A user of this machine with a password, removed when dropped.
pub struct User {
    pub name: String,
    pub password: &'static str,
}

impl User {
    pub fn add() -> Self {
        let name = format!("colca{}", std::process::id());
        run(Command::new("useradd").args(["--no-create-home", "--shell", "/bin/sh", &name]));
        let user = Self {
            name,
            password: "contraseña larga 1",
        };
        let mut child = Command::new("chpasswd")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let line = format!("{}:{}\n", user.name, user.password);
        child
            .stdin
            .take()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        user
    }

    pub fn id(&self) -> u32 {
        run(Command::new("id").args(["-u", &self.name]))
            .trim()
            .parse()
            .unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // By force: a session of this user may be about to end.
        let _ = Command::new("userdel")
            .args(["--force", &self.name])
            .stderr(Stdio::null())
            .status();
    }
}

/// A line between client and server that can be cut, stopped and counted.
pub struct Line {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    refuse: AtomicBool,
    frozen: AtomicBool,
    /// Bytes from the server until everything is cut, if not negative.
    cut_after: AtomicI64,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Line {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        line.state.cut_after.store(-1, Ordering::SeqCst);
        let state = line.state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if state.refuse.load(Ordering::SeqCst) {
                    continue;
                }
                state.connections.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let mut open = state.open.lock().unwrap();
                open.push(client.try_clone().unwrap());
                open.push(server.try_clone().unwrap());
                drop(open);
                carry(
                    client.try_clone().unwrap(),
                    server.try_clone().unwrap(),
                    state.clone(),
                    false,
                );
                carry(server, client, state.clone(), true);
            }
        });
        line
    }

    /// Cuts every connection when the server has sent so many more bytes.
    pub fn cut_after(&self, bytes: i64) {
        self.state.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Ends new connections at once.
    pub fn refuse(&self) {
        self.state.refuse.store(true, Ordering::SeqCst);
    }

    /// Lets nothing through any more without closing anything.
    pub fn freeze(&self) {
        self.state.frozen.store(true, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: Arc<State>, counted: bool) {
    std::thread::spawn(move || {
        let mut buf = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from.read(&mut buf) {
            while state.frozen.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(100));
            }
            if counted && state.cut_after.load(Ordering::SeqCst) >= 0 {
                let left = state.cut_after.fetch_sub(n as i64, Ordering::SeqCst) - n as i64;
                if left < 0 {
                    state.cut_after.store(-1, Ordering::SeqCst);
                    for stream in state.open.lock().unwrap().drain(..) {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                    break;
                }
            }
            if to.write_all(&buf[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
