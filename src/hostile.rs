//! Every parser that reads bytes from a disk, a provider, a network or a
//! person, as one function of bytes each. Only in tests and under `cargo fuzz`
//! (`fuzz/`): nothing of this is in the program.
//!
//! A parser may answer anything, but it may not panic, and what decodes must
//! encode to what it was where that is promised.

/// A target: its name, and what it does with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("header", crate::engine::hostile::header),
    ("segment", crate::engine::hostile::segment),
    ("segment-inside", crate::engine::hostile::segment_inside),
    ("snapshot", crate::engine::hostile::snapshot),
    ("tree", crate::engine::hostile::tree),
    ("typed", crate::engine::hostile::typed),
    ("shard", crate::pool::hostile::shard),
    ("member", crate::pool::hostile::member),
    ("manifest", crate::provider::hostile::manifest),
    ("s3", crate::provider::hostile::s3),
    ("sftp", crate::sftp::hostile::packets),
    ("devices", devices),
];

/// Tools and helpers have nearly the same shape: lines.
fn devices(bytes: &[u8]) {
    crate::devices::hostile::tools(bytes);
    crate::devices::hostile::helper(bytes);
    crate::appliance::tpm::helper::hostile(bytes);
    crate::appliance::keyring::hostile(bytes);
}

/// Feeds one target; the fuzzers' entry.
///
/// # Panics
/// If there is no target of this name, and where a parser has a fault.
pub fn feed(target: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found
        .map(|(_, run)| run(bytes))
        .unwrap_or_else(|| panic!("there is no target {target}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator whose numbers are the same on every machine.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self, below: usize) -> usize {
            // xorshift64*, Marsaglia 2003 and Vigna 2016.
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
        }
    }

    /// Seeds of a target: what its parsers take in earnest, and what fuzzing found.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files.iter().map(|f| std::fs::read(f).unwrap()).collect()
    }

    /// One small change of the kinds a fuzzer makes.
    fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
        let at = numbers.next(bytes.len());
        match numbers.next(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, numbers.next(256) as u8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.next(8),
            4 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.next(5)],
            5 => {
                let from = numbers.next(other.len());
                let n = numbers.next(32).min(other.len() - from);
                bytes.splice(at..at, other[from..from + n].iter().copied());
            }
            _ => {
                let end = (at + 4).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
        }
    }

    #[test]
    fn seeds_and_their_neighbours_are_survived_by_every_parser() {
        for (target, run) in TARGETS {
            let seeds = seeds(target);
            assert!(!seeds.is_empty(), "{target} has no seeds");
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
            for seed in &seeds {
                run(seed);
                for _ in 0..300 {
                    let mut bytes = seed.clone();
                    for _ in 0..=numbers.next(4) {
                        let other = &seeds[numbers.next(seeds.len())];
                        mutate(&mut bytes, other, &mut numbers);
                    }
                    run(&bytes);
                }
            }
            println!("{target}: {} seeds, 300 neighbours each", seeds.len());
        }
    }

    /// How the seeds were made, but for those that fuzzing found:
    ///
    ///     cargo nextest run --release --lib --run-ignored only make_seeds
    #[test]
    #[ignore = "writes fuzz/seeds anew"]
    fn make_seeds() {
        let put = |target: &str, name: &str, bytes: &[u8]| {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz/seeds")
                .join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), bytes).unwrap();
        };
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let source = at("source");
        for i in 0..20 {
            let text = format!("línea {i}\n").repeat(i);
            std::fs::write(source.join(format!("f{i}")), text).unwrap();
        }
        std::os::unix::fs::symlink("f1", source.join("enlace")).unwrap();
        let storage = std::sync::Arc::new(crate::provider::Folder::open(&at("storage")).unwrap());
        let tree = crate::sources::local_tree(&source).unwrap();
        for (target, name, bytes) in crate::engine::hostile::samples(storage, &at("state"), &*tree)
        {
            put(target, &name, &bytes);
        }
        for (target, name, bytes) in crate::pool::hostile::samples() {
            put(target, name, &bytes);
        }
        for (target, name, bytes) in crate::provider::hostile::samples() {
            put(target, name, &bytes);
        }
        for (i, bytes) in crate::sftp::hostile::samples().iter().enumerate() {
            put("sftp", &format!("packets-{i}"), bytes);
        }
        for (name, text) in crate::devices::hostile::SAMPLES {
            put("devices", name, text.as_bytes());
        }
    }
}
