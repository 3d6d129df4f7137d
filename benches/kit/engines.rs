//! How each engine is used, the way its manual says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::measure::Call;
use super::trees;

/// The password of every peer's repository.
const PASSWORD: &str = "correct horse battery staple";

/// An engine, by the word that picks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Colca,
    Restic,
    Rustic,
    /// Borg with its default compression
    BorgLz4,
    /// Borg with the compression that Colca uses
    BorgZstd,
}

/// Every engine, Colca first.
pub const ALL: [Engine; 5] = [
    Engine::Colca,
    Engine::Restic,
    Engine::Rustic,
    Engine::BorgLz4,
    Engine::BorgZstd,
];

/// Where the programs are.
pub struct Programs {
    pub colca: PathBuf,
    /// The folder `benches/prepare` puts the peers into.
    pub peers: PathBuf,
}

/// An engine with its repository, caches and keys in one folder, so that a
/// repository is moved aside, brought back or removed as a whole.
pub struct Home<'a> {
    pub engine: Engine,
    pub programs: &'a Programs,
    pub folder: PathBuf,
    /// Backups made so far; Borg wants a new name for each.
    pub backups: u32,
}

impl Engine {
    pub fn word(self) -> &'static str {
        match self {
            Self::Colca => "colca",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
            Self::BorgLz4 => "borg-lz4",
            Self::BorgZstd => "borg-zstd",
        }
    }

    /// Takes several times as long as the others, so that one round settles its figures.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::BorgLz4 | Self::BorgZstd)
    }

    pub fn parse(word: &str) -> Option<Self> {
        ALL.into_iter().find(|engine| engine.word() == word)
    }

    /// What it says of its version.
    pub fn version(self, programs: &Programs) -> Result<String, String> {
        let call = match self {
            Self::Colca | Self::Rustic => programs.plain(self).arg("--version"),
            Self::Restic => programs.plain(self).arg("version"),
            Self::BorgLz4 | Self::BorgZstd => programs.plain(self).arg("--version"),
        };
        let said = call.output()?;
        Ok(said.lines().next().unwrap_or_default().to_owned())
    }
}

impl Programs {
    /// The bare program of an engine.
    fn plain(&self, engine: Engine) -> Call {
        let debian = self.peers.join("debian");
        match engine {
            Engine::Colca => Call::new(&self.colca),
            Engine::Rustic => Call::new(self.peers.join("rustic/bin/rustic")),
            Engine::Restic => with_own_libraries(&debian, &debian.join("usr/bin/restic")),
            // What the script's first line would start, in its own tree.
            Engine::BorgLz4 | Engine::BorgZstd => {
                with_own_libraries(&debian, &debian.join("usr/bin/python3"))
                    .arg(debian.join("usr/bin/borg"))
                    .env("PYTHONHOME", debian.join("usr"))
            }
        }
    }
}

/// A program of a Debian tree, started by the tree's own loader with the
/// tree's own libraries: nothing is mounted and nothing stands between.
fn with_own_libraries(tree: &Path, program: &Path) -> Call {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries = tree.join("usr/lib").join(triplet);
    let loader = fs::read_dir(&libraries)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
        });
    match loader {
        Some(loader) => Call::new(loader)
            .arg("--library-path")
            .arg(libraries)
            .arg(program),
        None => Call::new(program),
    }
}

impl Home<'_> {
    fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// The program, told where its repository, caches and keys are.
    fn call(&self) -> Call {
        let call = self.programs.plain(self.engine);
        let (repository, cache) = (self.repository(), self.folder.join("cache"));
        let password = self.folder.join("password");
        match self.engine {
            Engine::Colca => call.env("COLCA_STATE", self.folder.join("state")),
            Engine::Restic => call
                .env("RESTIC_REPOSITORY", repository)
                .env("RESTIC_PASSWORD_FILE", password)
                .env("RESTIC_CACHE_DIR", cache),
            Engine::Rustic => call
                .env("RUSTIC_REPOSITORY", repository)
                .env("RUSTIC_PASSWORD_FILE", password)
                .env("RUSTIC_CACHE_DIR", cache)
                .env("RUSTIC_NO_PROGRESS", "true")
                .env("RUSTIC_LOG_LEVEL", "warn"),
            Engine::BorgLz4 | Engine::BorgZstd => call
                .env("BORG_REPO", repository)
                .env("BORG_PASSPHRASE", PASSWORD)
                .env("BORG_BASE_DIR", self.folder.join("borg")),
        }
    }

    /// Makes a new repository in an empty home.
    pub fn create(&self) -> Result<(), String> {
        let io = |e: io::Error| format!("{}: {e}", self.folder.display());
        trees::remove(&self.folder).map_err(io)?;
        fs::create_dir_all(&self.folder).map_err(io)?;
        fs::write(self.folder.join("password"), PASSWORD).map_err(io)?;
        let call = match self.engine {
            Engine::Colca => {
                fs::create_dir(self.repository()).map_err(io)?;
                self.call()
                    .args(["pool", "create", "--redundancy", "1+0"])
                    .arg(self.repository())
            }
            Engine::Restic | Engine::Rustic => self.call().arg("init"),
            Engine::BorgLz4 | Engine::BorgZstd => {
                self.call().args(["init", "--encryption", "repokey-blake2"])
            }
        };
        call.output().map(drop)
    }

    /// A backup of `source`; with `full` one that reads everything again.
    pub fn backup(&mut self, source: &Path, full: bool) -> Call {
        self.backups += 1;
        let call = self.call();
        let (call, flag) = match self.engine {
            Engine::Colca => (call.args(["backup", "--name", "bench"]), "--full"),
            Engine::Restic => (call.args(["backup", "--quiet"]), "--force"),
            Engine::Rustic => (call.arg("backup"), "--force"),
            Engine::BorgLz4 => (call.arg("create"), "--files-cache=disabled"),
            Engine::BorgZstd => (
                call.args(["create", "--compression", "zstd,1"]),
                "--files-cache=disabled",
            ),
        };
        let call = match full {
            true => call.arg(flag),
            false => call,
        };
        match self.engine {
            Engine::BorgLz4 | Engine::BorgZstd => call.arg(format!("::{}", self.backups)),
            Engine::Colca | Engine::Restic | Engine::Rustic => call,
        }
        .arg(source)
    }

    /// A restore of the newest backup of `source` into the empty folder
    /// `target`, and where in there the tree will be.
    pub fn restore(&self, source: &Path, target: &Path) -> (Call, PathBuf) {
        let call = self.call();
        let newest = format!("latest:{}", source.display());
        match self.engine {
            Engine::Colca => (
                call.args(["restore", "bench"]).arg(target),
                target.to_owned(),
            ),
            Engine::Restic => (
                call.args(["restore", "--quiet", &newest, "--target"])
                    .arg(target),
                target.to_owned(),
            ),
            Engine::Rustic => (
                call.args(["restore", &newest]).arg(target),
                target.to_owned(),
            ),
            Engine::BorgLz4 | Engine::BorgZstd => (
                call.args(["extract", &format!("::{}", self.backups)])
                    .within(target),
                target.join(source.strip_prefix("/").unwrap_or(source)),
            ),
        }
    }

    /// Reads and proves all that is stored.
    pub fn verify(&self) -> Call {
        let call = self.call();
        match self.engine {
            Engine::Colca => call.args(["verify", "--data"]),
            Engine::Restic | Engine::Rustic => call.args(["check", "--read-data"]),
            Engine::BorgLz4 | Engine::BorgZstd => call.args(["check", "--verify-data"]),
        }
    }

    /// Bytes of the repository, without caches.
    pub fn stored(&self) -> Result<u64, String> {
        trees::weight(&self.repository()).map_err(|e| e.to_string())
    }
}
