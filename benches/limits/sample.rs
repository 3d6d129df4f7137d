//! A part of a data set that fits into memory many times over, and what an
//! engine makes of it: chunks, blocks, sealed blocks.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use mincdc::{Cdc as _, MinCdcHash4};

use crate::kit::trees;

/// The settings of `src/engine`: chunk sizes, and how large a block becomes.
pub const CHUNK_MIN: usize = 128 << 10;
pub const CHUNK_MAX: usize = 384 << 10;
const BLOCK: usize = 1 << 20;

/// At least so many bytes are sampled, unless there are fewer.
const ENOUGH: u64 = 256 << 20;

/// The files of one folder: names and sizes.
pub struct Folder {
    pub path: PathBuf,
    pub files: Vec<(OsString, usize)>,
}

/// Folders of a tree whose files are together large enough.
pub struct Sample {
    /// Every folder of the whole tree.
    pub all_folders: Vec<PathBuf>,
    /// The sampled ones.
    pub folders: Vec<Folder>,
    /// Content of the sampled files, one after another.
    pub bytes: Vec<u8>,
    /// Where in `bytes` each chunk ends.
    pub chunks: Vec<usize>,
    /// Where in `bytes` each block ends.
    pub blocks: Vec<usize>,
    /// How many times larger the whole tree is.
    pub times: f64,
}

/// Length of the next chunk, as `src/engine/chunker.rs` cuts.
pub fn cut(bytes: &[u8]) -> usize {
    if bytes.len() <= CHUNK_MIN {
        return bytes.len();
    }
    let cdc = MinCdcHash4::new();
    let from = CHUNK_MIN - cdc.window_size();
    from + cdc.best_splitpoint(&bytes[from..CHUNK_MAX.min(bytes.len())])
}

impl Sample {
    pub fn take(top: &Path) -> io::Result<Self> {
        let mut found: Vec<Folder> = vec![Folder {
            path: top.to_owned(),
            files: Vec::new(),
        }];
        let mut place = std::collections::HashMap::from([(PathBuf::new(), 0)]);
        let mut whole = 0;
        trees::walk(top, &mut |path, meta| {
            if meta.is_dir() {
                place.insert(path.to_owned(), found.len());
                found.push(Folder {
                    path: top.join(path),
                    files: Vec::new(),
                });
            } else if meta.is_file() {
                whole += meta.len();
                let parent = path.parent().map(|p| place[p]).unwrap_or_default();
                let name = path.file_name().unwrap_or_default().to_owned();
                let size = usize::try_from(meta.len()).map_err(io::Error::other)?;
                found[parent].files.push((name, size));
            }
            Ok(())
        })?;
        let all_folders = found.iter().map(|f| f.path.clone()).collect();
        // Folders in an order that has nothing to do with their place in the tree.
        found.sort_by_key(|f| *blake3::hash(f.path.as_os_str().as_encoded_bytes()).as_bytes());
        let mut sample = Self {
            all_folders,
            folders: Vec::new(),
            bytes: Vec::new(),
            chunks: Vec::new(),
            blocks: Vec::new(),
            times: 1.0,
        };
        for mut folder in found {
            if sample.bytes.len() as u64 >= ENOUGH {
                break;
            }
            for (name, size) in &mut folder.files {
                *size = sample.add(&folder.path.join(name), *size)?;
            }
            sample.folders.push(folder);
        }
        sample.close_block(sample.bytes.len());
        sample.times = whole as f64 / sample.bytes.len().max(1) as f64;
        Ok(sample)
    }

    /// Adds a file, or of a very large one as much as is still wanted; how much.
    fn add(&mut self, path: &Path, size: usize) -> io::Result<usize> {
        let from = self.bytes.len();
        let size = size.min(ENOUGH as usize);
        self.bytes.resize(from + size, 0);
        File::open(path)?.read_exact_at(&mut self.bytes[from..], 0)?;
        let mut at = from;
        while at < self.bytes.len() {
            let n = cut(&self.bytes[at..]);
            if at + n - self.blocks.last().copied().unwrap_or(0) > BLOCK {
                self.close_block(at);
            }
            at += n;
            self.chunks.push(at);
        }
        Ok(size)
    }

    fn close_block(&mut self, at: usize) {
        if self.blocks.last().copied().unwrap_or(0) < at {
            self.blocks.push(at);
        }
    }

    /// Start and end of each part that `ends` names.
    pub fn parts(ends: &[usize]) -> Vec<std::ops::Range<usize>> {
        let mut from = 0;
        ends.iter()
            .map(|end| {
                let part = from..*end;
                from = *end;
                part
            })
            .collect()
    }
}

/// Makes the folders of the sample below `top`, numbered.
pub fn make_folders(sample: &Sample, top: &Path) -> io::Result<()> {
    trees::remove(top)?;
    for n in 0..sample.folders.len() {
        fs::create_dir_all(top.join(n.to_string()))?;
    }
    Ok(())
}
