//! The real daemon in development mode, on a folder of its own and a free port.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};

/// A running daemon; ends with the test, also when it panics.
pub struct Daemon {
    child: Child,
    /// Holds state and disks.
    folder: tempfile::TempDir,
    /// `https://127.0.0.1:PORT`.
    pub base: String,
    /// What the console shows.
    pub code: String,
}

impl Daemon {
    /// A new box. Its second disk holds a file of somebody's.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let used = folder.path().join("disks/disk2");
        std::fs::create_dir_all(&used).unwrap();
        std::fs::write(used.join("contabilidad.xlsx"), "cuentas").unwrap();
        let port = free_port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_colca"))
            .args(["serve", "--dev"])
            .arg(folder.path())
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let code = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("claim code ").map(str::to_owned));
        // Its log must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let mut daemon = Self {
            child,
            folder,
            base: format!("https://127.0.0.1:{port}"),
            code: String::new(),
        };
        daemon.code = code.expect("the daemon announces its claim code");
        daemon
    }
}

impl Daemon {
    /// The box starts again and finds that what opens its pool is gone.
    pub fn lose_key(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let pool = self.folder.path().join("state/pool");
        let mut lost = 0;
        for entry in std::fs::read_dir(pool).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
            lost += 1;
        }
        assert_eq!(lost, 1, "files of keys");
        let address = self.base.strip_prefix("https://").unwrap();
        self.child = Command::new(env!("CARGO_BIN_EXE_colca"))
            .args(["serve", "--dev"])
            .arg(self.folder.path())
            .args(["--listen", address])
            .stdout(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{address}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The folder that stands for a disk.
    pub fn disk(&self, number: u32) -> PathBuf {
        self.folder.path().join(format!("disks/disk{number}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Small files, spread over ten folders.
const SMALL: usize = 6000;

/// A folder to back up: many small files, a few large ones, awkward names.
pub struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    /// `megabytes` of bytes that neither repeat nor compress, besides small files.
    pub fn new(megabytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = Self { folder };
        let root = data.path().to_path_buf();
        for (path, text) in [
            ("leame.txt", "Datos de prueba\n"),
            (
                "Informes 2026/Evaluación de desempeño – setiembre.txt",
                "Ñandú\n",
            ),
            ("Informes 2026/acta #12 & anexo?.txt", "acta\n"),
            (
                "Informes 2026/Resoluciones/042-2023/Directiva-002-2023-SG.txt",
                "texto\n",
            ),
            (
                "Informes 2026/un-nombre-de-archivo-muy-largo-sin-espacios-que-no-debe-romper-la-pagina-en-un-telefono.txt",
                "largo\n",
            ),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("leame.txt", root.join("enlace")).unwrap();
        for n in 0..SMALL {
            let path = root.join(format!("planillas/grupo-{:02}/planilla-{n:04}.csv", n % 10));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("codigo;monto\n{n};{}\n", n * 37)).unwrap();
        }
        std::fs::create_dir(root.join("imágenes")).unwrap();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for n in 0..megabytes.div_ceil(32) {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed.to_le_bytes()
            })
            .take((32 << 20) / 8)
            .flatten()
            .collect();
            std::fs::write(root.join(format!("imágenes/disco-{n:02}.img")), bytes).unwrap();
        }
        data
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// From here on the large files come slowly, a read every 20 ms, so that what a
    /// person could see of a job can be seen however fast the machine is. Needs root.
    pub fn slowed(&self) -> Slowed {
        let gate = Fanotify::init(
            InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK,
            EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC,
        )
        .unwrap();
        gate.mark(
            MarkFlags::FAN_MARK_ADD,
            MaskFlags::FAN_ACCESS_PERM | MaskFlags::FAN_EVENT_ON_CHILD,
            nix::fcntl::AT_FDCWD,
            Some(&self.file("imágenes")),
        )
        .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let brake = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                let mut ready = [PollFd::new(gate.as_fd(), PollFlags::POLLIN)];
                if poll(&mut ready, PollTimeout::from(100_u8)).unwrap() == 0 {
                    continue;
                }
                for event in gate.read_events().unwrap() {
                    std::thread::sleep(Duration::from_millis(20));
                    let file = event.fd().expect("a permission event has a file");
                    gate.write_response(FanotifyResponse::new(file, Response::FAN_ALLOW))
                        .unwrap();
                }
            }
        });
        Slowed {
            stop,
            brake: Some(brake),
        }
    }

    pub fn file(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }
}

/// Lets the reads of [`Data`] go on at full speed when it goes.
pub struct Slowed {
    stop: Arc<AtomicBool>,
    brake: Option<JoinHandle<()>>,
}

impl Drop for Slowed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(brake) = self.brake.take() {
            let _ = brake.join();
        }
    }
}
