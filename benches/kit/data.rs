//! The data: what they are, how they are made, and how a source becomes
//! another version. docs/benchmarks.md says why they are as they are.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::trees;

/// A data set, by the word that picks its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// Two versions of the kernel's source tree
    Kernel,
    /// 2 GiB of random bytes in one file
    Random,
    /// A server's disk image before and after its updates
    Image,
    /// A database dump before and after a day
    Dump,
    /// A million files of 1 to 4 KiB
    Tiny,
}

/// Every set, in the order in which they are run.
pub const ALL: [Set; 5] = [Set::Kernel, Set::Random, Set::Image, Set::Dump, Set::Tiny];

const RANDOM_BYTES: u64 = 2 << 30;
const TINY_FOLDERS: u32 = 1000;
const TINY_FILES: u32 = 1000;

/// When what is the same in both versions was written, and when the rest was.
const BEFORE: Duration = Duration::from_secs(1_790_000_000);
const AFTER: Duration = Duration::from_secs(1_792_000_000);

impl Set {
    pub fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Random => "random",
            Self::Image => "image",
            Self::Dump => "dump",
            Self::Tiny => "tiny",
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            Self::Kernel => "kernel tree",
            Self::Random => "random 2 GiB",
            Self::Image => "disk image",
            Self::Dump => "database dump",
            Self::Tiny => "a million tiny files",
        }
    }

    /// Whether there is a second version of it.
    pub fn has_two(self) -> bool {
        matches!(self, Self::Kernel | Self::Image | Self::Dump)
    }
}

/// The folder with all data, and the sources made of them.
pub struct Data {
    top: PathBuf,
}

impl Data {
    /// `out` is where everything of the benches is cached.
    pub fn new(out: &Path) -> Self {
        Self {
            top: out.join("data"),
        }
    }

    /// A version as it was made; 1 or 2.
    pub fn version(&self, set: Set, version: u32) -> PathBuf {
        match set.has_two() {
            true => self.top.join(format!("{}-{version}", set.word())),
            false => self.top.join(set.word()),
        }
    }

    /// The folder that is backed up: one path for both versions.
    pub fn source(&self, set: Set) -> PathBuf {
        match set {
            Set::Random | Set::Tiny => self.version(set, 1),
            Set::Kernel | Set::Image | Set::Dump => self.top.join(set.word()).join("source"),
        }
    }

    /// Makes the set, if it is not there yet. What it is made of (packages and
    /// their versions), for the record.
    pub fn make(&self, set: Set) -> io::Result<String> {
        fs::create_dir_all(&self.top)?;
        match set {
            Set::Random => self.once(set, |top| random(&top.join("random.bin"), RANDOM_BYTES))?,
            Set::Tiny => self.once(set, tiny)?,
            Set::Kernel | Set::Image | Set::Dump => {
                prepare(self.out(), set.word())?;
                if set == Set::Kernel {
                    // A bench that was cut short may have left it elsewhere.
                    self.back_in_place()?;
                    self.settle_kernel()?;
                }
            }
        }
        let made_of = match set {
            Set::Random => "generated".to_owned(),
            Set::Tiny => "generated; 1000 folders of 1000 files".to_owned(),
            _ => fs::read_to_string(self.top.join(format!("{}.versions", set.word())))?
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        };
        Ok(made_of)
    }

    fn out(&self) -> &Path {
        self.top.parent().unwrap_or(&self.top)
    }

    fn once(&self, set: Set, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let top = self.version(set, 1);
        if top.exists() {
            return Ok(());
        }
        eprintln!("making the data: {}", set.describe());
        let unfinished = self.top.join(format!("{}.unfinished", set.word()));
        trees::remove(&unfinished)?;
        fs::create_dir(&unfinished)?;
        make(&unfinished)?;
        fs::rename(unfinished, top)
    }

    /// Gives what is the same in both versions the same time, what differs a
    /// later one in the second, as if the tree had been updated in place.
    fn settle_kernel(&self) -> io::Result<()> {
        let (one, two) = (self.version(Set::Kernel, 1), self.version(Set::Kernel, 2));
        let settled = self.top.join("kernel.settled");
        if settled.exists() {
            return Ok(());
        }
        eprintln!("making the data: times of the kernel trees");
        let mut same = 0u64;
        let mut all = 0u64;
        for (top, other) in [(&one, None), (&two, Some(&one))] {
            let mut folders = Vec::new();
            trees::walk(top, &mut |path, meta| {
                if meta.is_dir() {
                    folders.push(top.join(path));
                } else if meta.is_file() {
                    let equal = match other {
                        None => true,
                        Some(other) => same_bytes(&top.join(path), &other.join(path)),
                    };
                    all += u64::from(other.is_some());
                    same += u64::from(other.is_some() && equal);
                    set_time(&top.join(path), if equal { BEFORE } else { AFTER })?;
                }
                Ok(())
            })?;
            for folder in folders {
                set_time(&folder, BEFORE)?;
            }
        }
        fs::write(settled, format!("{same} of {all} files are the same\n"))
    }

    /// Makes the source this version: the kernel tree is updated in place, of
    /// images and dumps there is a new file under the old name.
    pub fn turn_to(&self, set: Set, version: u32) -> io::Result<()> {
        let (from, to) = (self.version(set, version), self.source(set));
        match set {
            Set::Random | Set::Tiny => Ok(()),
            Set::Kernel => {
                self.back_in_place()?;
                trees::mirror(&from, &to)
            }
            Set::Image | Set::Dump => {
                trees::remove(&to)?;
                fs::create_dir_all(&to)?;
                for entry in fs::read_dir(&from)? {
                    let entry = entry?;
                    let time = if version == 1 { BEFORE } else { AFTER };
                    set_time(&entry.path(), time)?;
                    fs::hard_link(entry.path(), to.join(entry.file_name()))?;
                }
                set_time(&to, BEFORE)
            }
        }
    }

    /// Puts the second version as it was unpacked in the place of the source:
    /// to the file system every file is a new one. [`Data::turn_to`] undoes it.
    pub fn unpacked_anew(&self) -> io::Result<()> {
        let (source, aside) = (self.source(Set::Kernel), self.aside());
        fs::rename(&source, aside)?;
        fs::rename(self.version(Set::Kernel, 2), source)
    }

    fn aside(&self) -> PathBuf {
        self.top.join("kernel").join("aside")
    }

    fn back_in_place(&self) -> io::Result<()> {
        if self.aside().exists() {
            let source = self.source(Set::Kernel);
            if source.exists() {
                fs::rename(&source, self.version(Set::Kernel, 2))?;
            }
            fs::rename(self.aside(), source)?;
        }
        Ok(())
    }
}

/// Held while a bench runs: two at once would disturb each other's figures and
/// change each other's sources. An error if another one holds it.
pub fn lock(out: &Path) -> Result<File, String> {
    let path = out.join(".lock");
    let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| "another bench is running with the same data; wait for it".to_owned())?;
    Ok(file)
}

/// Runs `benches/prepare` for one part.
pub fn prepare(out: &Path, part: &str) -> io::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/prepare");
    match Command::new(script).arg(out).arg(part).status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("benches/prepare {part} failed"))),
    }
}

fn same_bytes(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

fn set_time(path: &Path, since_epoch: Duration) -> io::Result<()> {
    File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + since_epoch)
}

/// Random bytes, the same every time: nothing compresses, nothing repeats.
pub fn random(path: &Path, bytes: u64) -> io::Result<()> {
    let mut stream = blake3::Hasher::new_derive_key("colca bench random").finalize_xof();
    let mut buffer = vec![0; 1 << 20];
    let mut file = File::create(path)?;
    for _ in 0..bytes >> 20 {
        stream.fill(&mut buffer);
        file.write_all(&buffer)?;
    }
    drop(file);
    set_time(path, BEFORE)
}

/// Folders of small text files.
fn tiny(top: &Path) -> io::Result<()> {
    let mut prose = Prose::new(1);
    let mut text = Vec::with_capacity(5 << 10);
    for folder in 0..TINY_FOLDERS {
        let folder = top.join(format!("{folder:04}"));
        fs::create_dir(&folder)?;
        for file in 0..TINY_FILES {
            let size = 1024 + prose.below(3 * 1024 + 1) as usize;
            text.clear();
            prose.write(&mut text, size);
            let path = folder.join(format!("record-{file:04}.txt"));
            let mut file = BufWriter::new(File::create(&path)?);
            file.write_all(&text)?;
            file.into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .set_modified(SystemTime::UNIX_EPOCH + BEFORE)?;
        }
        set_time(&folder, BEFORE)?;
    }
    Ok(())
}

/// Text that compresses about as records do: words of a vocabulary in which
/// few are frequent, with numbers between them.
pub struct Prose {
    state: u64,
    words: Vec<String>,
}

impl Prose {
    pub fn new(seed: u64) -> Self {
        let mut prose = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            words: Vec::new(),
        };
        const SYLLABLES: [&str; 24] = [
            "ca", "ri", "to", "men", "sa", "lu", "per", "do", "qui", "es", "tra", "no", "al", "vi",
            "go", "mar", "in", "ce", "tur", "ba", "lla", "cu", "jo", "pa",
        ];
        for _ in 0..4096 {
            let parts = 1 + prose.below(4);
            let word = (0..parts)
                .map(|_| SYLLABLES[prose.below(SYLLABLES.len() as u64) as usize])
                .collect();
            prose.words.push(word);
        }
        prose
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    /// Appends exactly `size` bytes of text.
    pub fn write(&mut self, out: &mut Vec<u8>, size: usize) {
        let end = out.len() + size;
        let mut column = 0;
        while out.len() < end {
            let from = out.len();
            if self.below(8) == 0 {
                let number = self.below(1_000_000);
                out.extend_from_slice(number.to_string().as_bytes());
            } else {
                // The product of two even draws: a few words make most of a text.
                let n = self.words.len() as u64;
                let pick = self.below(n) * self.below(n) / n;
                out.extend_from_slice(self.words[pick as usize].as_bytes());
            }
            column += out.len() - from + 1;
            out.push(if column > 72 { b'\n' } else { b' ' });
            column = if column > 72 { 0 } else { column };
        }
        out.truncate(end);
    }
}
