//! A tree that is made up while it is read: one folder with a tenth of the
//! files, at most a million, and the others a hundred to a folder.

use std::collections::BTreeMap;
use std::ops::Range;

use colca::engine::tree::{
    Entry, Examined, FileType, Folder, Input, Meta, Names, Output, Target, Time, Tree,
};
use colca::engine::{Error, Kind, Result};

/// The largest folder.
pub const HUGE: &[u8] = b"escaneos";
const PER_FOLDER: u64 = 100;

/// How many files, and which version: from 1 on, another thousandth of the
/// files is changed in each.
#[derive(Clone, Copy)]
pub struct Shape {
    pub files: u64,
    pub version: u64,
}

/// Splitmix64: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

impl Shape {
    /// The first version.
    pub fn new(files: u64) -> Self {
        Self { files, version: 0 }
    }

    /// Files in the largest folder.
    pub fn huge(self) -> u64 {
        (self.files / 10).min(1_000_000)
    }

    /// Folders of a hundred files, in groups of a hundred.
    pub fn folders(self) -> u64 {
        (self.files - self.huge()).div_ceil(PER_FOLDER)
    }

    pub fn folder(self, n: u64) -> Vec<Vec<u8>> {
        vec![group(n / 100), sub(n)]
    }

    pub fn huge_name(self, n: u64) -> Vec<u8> {
        format!("Escaneo {n:07}.pdf").into_bytes()
    }

    pub fn tree(self) -> Made {
        Made(self)
    }

    fn file_name(self, n: u64) -> Vec<u8> {
        const FIRST: [&str; 8] = [
            "Informe",
            "Oficio",
            "Resolución",
            "acta",
            "IMG",
            "Memorando",
            "anexo",
            "Carta",
        ];
        const SECOND: [&str; 8] = [
            "técnico",
            "final",
            "de gestión",
            "2026",
            "mensual",
            "borrador",
            "Nº",
            "legal",
        ];
        const THIRD: [&str; 4] = ["docx", "pdf", "xlsx", "jpg"];
        let mut random = Random(n);
        let mut pick = |words: &[&'static str]| words[random.below(words.len() as u64) as usize];
        format!("{} {} {n}.{}", pick(&FIRST), pick(&SECOND), pick(&THIRD)).into_bytes()
    }

    /// No content, so that only names and metadata are measured.
    fn entry(self, name: Vec<u8>, n: u64) -> Entry {
        let changed = n % 1000 == self.version % 1000;
        let later = if changed { self.version as i64 } else { 0 };
        let mut random = Random(n);
        let time = |secs: i64| Time { secs, nanos: 5 };
        let meta = Meta {
            kind: FileType::File { size: 0 },
            mode: 0o640,
            uid: 1000 + random.below(50) as u32,
            gid: 100,
            mtime: time(1_500_000_000 + random.below(200_000_000) as i64 + later),
            ctime: time(1_750_000_000 + later),
            inode: (1, n + 2),
            links: 1,
            xattrs: BTreeMap::new(),
        };
        Entry { name, meta }
    }
}

fn group(n: u64) -> Vec<u8> {
    format!("Oficina {n:04}").into_bytes()
}

fn sub(n: u64) -> Vec<u8> {
    format!("Carpeta {:02}", n % 100).into_bytes()
}

fn folder_meta(n: u64) -> Meta {
    let time = Time {
        secs: 1_600_000_000,
        nanos: 0,
    };
    Meta {
        kind: FileType::Folder,
        mode: 0o750,
        uid: 0,
        gid: 0,
        mtime: time,
        ctime: time,
        inode: (2, n),
        links: 1,
        xattrs: BTreeMap::new(),
    }
}

/// The tree.
pub struct Made(Shape);

#[derive(Clone, Copy)]
enum Place {
    Top,
    Huge,
    Group(u64),
    Sub(u64),
}

/// A target that forgets what it is given.
pub struct Nowhere;

impl Target for Nowhere {
    fn folder(&self, _: &[Vec<u8>]) -> Result<()> {
        Ok(())
    }
    fn file(&self, _: &[Vec<u8>], _: u64) -> Result<Box<dyn Output>> {
        Ok(Box::new(Self))
    }
    fn special(&self, _: &[Vec<u8>], _: &Meta) -> Result<()> {
        Ok(())
    }
    fn hard_link(&self, _: &[Vec<u8>], _: &[Vec<u8>]) -> Result<()> {
        Ok(())
    }
    fn finish(&self, _: &[Vec<u8>], _: &Meta) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn describe(&self) -> String {
        "nowhere".into()
    }
}

impl Output for Nowhere {
    fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Made_ {
    shape: Shape,
    place: Place,
}

impl Made {
    /// Makes every entry once, some of a folder at a time.
    pub fn walk(&self) {
        let mut open = vec![self.root().unwrap()];
        while let Some(folder) = open.pop() {
            let names = folder.names().unwrap();
            for first in (0..names.len()).step_by(1024) {
                let some = first..names.len().min(first + 1024);
                for entry in folder.examine(&names, some).unwrap() {
                    let entry = entry.unwrap();
                    if entry.meta.kind == FileType::Folder {
                        open.push(folder.folder(&entry.name).unwrap());
                    }
                }
            }
        }
    }
}

impl Tree for Made {
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(Made_ {
            shape: self.0,
            place: Place::Top,
        }))
    }

    fn describe(&self) -> String {
        format!("{} made-up files", self.0.files)
    }
}

impl Folder for Made_ {
    fn meta(&self) -> Result<Meta> {
        Ok(folder_meta(1))
    }

    fn names(&self) -> Result<Names> {
        let shape = self.shape;
        let mut names = Names::default();
        let mut push = |name: &[u8], n: u64| names.push(name, &n.to_le_bytes());
        let (subs, rest) = (shape.folders(), shape.files - shape.huge());
        match self.place {
            Place::Top => {
                (0..subs.div_ceil(100)).for_each(|n| push(&group(n), 10 + n));
                push(HUGE, 3);
            }
            Place::Group(g) => {
                (g * 100..subs.min(g * 100 + 100)).for_each(|n| push(&sub(n), 1 << 40 | n));
            }
            Place::Sub(s) => {
                let files = s * PER_FOLDER..rest.min((s + 1) * PER_FOLDER);
                files.for_each(|n| push(&shape.file_name(n), n));
            }
            Place::Huge => {
                (0..shape.huge()).for_each(|n| push(&shape.huge_name(n), rest + n));
            }
        }
        Ok(names)
    }

    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>> {
        let entry = |(name, note): (&[u8], &[u8])| {
            let n = u64::from_le_bytes(note.try_into().unwrap());
            let name = name.to_vec();
            Ok(match self.place {
                Place::Top | Place::Group(_) => Entry {
                    name,
                    meta: folder_meta(n),
                },
                Place::Sub(_) | Place::Huge => self.shape.entry(name, n),
            })
        };
        Ok(names.range(which).map(entry).collect())
    }

    fn xattrs(&self, _: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        Ok(BTreeMap::new())
    }

    fn open(&self, _: &[u8]) -> Result<Box<dyn Input>> {
        Ok(Box::new(Empty))
    }

    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>> {
        let number = std::str::from_utf8(name)
            .ok()
            .and_then(|n| n.rsplit(' ').next()?.parse().ok());
        let place = match (self.place, number) {
            (Place::Top, None) => Place::Huge,
            (Place::Top, Some(n)) => Place::Group(n),
            (Place::Group(g), Some(n)) => Place::Sub(g * 100 + n),
            _ => return Err(Error::new(Kind::Missing, "there is no such folder")),
        };
        Ok(Box::new(Self {
            shape: self.shape,
            place,
        }))
    }
}

struct Empty;

impl Input for Empty {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
}
