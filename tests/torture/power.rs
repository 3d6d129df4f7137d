//! The power goes, again and again, in the midst of everything a pool does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::guest::{Disk, Guest, Kit};

/// Cuts in the slice that every test run does; `COLCA_CUTS` asks for others.
const SLICE: usize = 5;
/// What the console shows when a work has ended.
const ENDED: &str = "work-ended";
/// Snapshots kept; older ones are forgotten, so that collections have work.
const KEPT: usize = 6;
/// `/dev/vda` holds source and state, then come the members, one disk more, and the provider.
const MEMBERS: [&str; 3] = ["b", "c", "d"];
const FREE: &str = "e";
const PROVIDER: &str = "f";

/// The shell's words for a box's disks; a member is mounted on `/disk/LETTER`.
pub fn mount_all() -> String {
    let mut words = String::from("mkdir -p /system /provider");
    words += " && mount /dev/vda /system";
    for letter in MEMBERS.iter().chain([&FREE]) {
        words += &format!(" && mkdir -p /disk/{letter} && mount /dev/vd{letter} /disk/{letter}");
    }
    words += &format!(" && mount /dev/vd{PROVIDER} /provider");
    words
}

/// Makes the file systems, a pool 2+1 on them and a source with something in it.
/// `features` are those of the file systems.
pub fn set_up(guest: &mut Guest, features: &str) -> anyhow::Result<()> {
    guest.run(&format!(
        "for d in /dev/vd?; do mkfs.ext4 -q -E nodiscard -O {features} $d || exit 1; done"
    ))?;
    guest.run(&mount_all())?;
    guest.run("mkdir -p /system/source/{0,1,2,3,4}")?;
    let folders = MEMBERS.map(|letter| format!("/disk/{letter}")).join(" ");
    guest.run(&format!("{COLCA} pool create --redundancy 2+1 {folders}"))?;
    for _ in 0..4 {
        change(guest)?;
    }
    Ok(())
}

pub const COLCA: &str = "colca --state /system/state";
pub const BACK_UP: &str = "colca --state /system/state backup /system/source --name datos";

/// Writes some files anew, some of them large, half of them text; the tree's digest afterwards.
pub fn change(guest: &mut Guest) -> anyhow::Result<String> {
    guest.run(
        "cd /system/source && for i in $(seq 1 12); do f=$((RANDOM % 5))/$((RANDOM % 40)); \
         head -c $((RANDOM * 6)) /dev/urandom > $f; \
         base64 $f | head -c $((RANDOM * 4)) > $f.txt; done; \
         head -c $((RANDOM * 300)) /dev/urandom > 0/large",
    )?;
    digest(guest, "/system/source")
}

/// One digest of all names and bytes below a folder.
pub fn digest(guest: &mut Guest, folder: &str) -> anyhow::Result<String> {
    guest.run(&format!(
        "cd {folder} && find . -type f -exec sha256sum {{}} + | sort | sha256sum | cut -c1-64"
    ))
}

/// Restores a snapshot and compares what came back.
pub fn restores(guest: &mut Guest, id: &str, want: &str) {
    guest.run("rm -rf /tmp/back").unwrap();
    guest
        .run(&format!("{COLCA} restore {id} /tmp/back"))
        .unwrap();
    assert_eq!(digest(guest, "/tmp/back").unwrap(), want, "snapshot {id}");
}

/// What the pool lists now.
pub fn listed(guest: &mut Guest) -> BTreeSet<String> {
    let text = guest.run(&format!("{COLCA} snapshots --json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    all.iter()
        .map(|s| s["id"].as_str().unwrap().to_owned())
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Backup,
    Collect,
    Replicate,
    /// A member is replaced by the free disk.
    Replace,
}

impl Work {
    const ALL: [Self; 4] = [Self::Backup, Self::Replace, Self::Collect, Self::Replicate];

    fn command(self) -> String {
        match self {
            Self::Backup => BACK_UP.to_owned(),
            Self::Collect => format!("{COLCA} collect --waste 1"),
            Self::Replicate => format!("{COLCA} replicate --to /provider"),
            Self::Replace => format!("{COLCA} pool settle"),
        }
    }
}

/// What must be there.
struct Book {
    /// Snapshots known to be committed, and the digest of their tree.
    committed: BTreeMap<String, String>,
    /// The digest of the tree that may have been committed when the power went.
    perhaps: Option<String>,
    /// Being forgotten when it went.
    leaving: BTreeSet<String>,
}

impl Book {
    /// Compares with what is listed after a cut and takes over what turned out to be committed.
    fn settle(&mut self, listed: &BTreeSet<String>) -> bool {
        for id in self.committed.keys() {
            assert!(
                listed.contains(id) || self.leaving.contains(id),
                "the committed snapshot {id} is gone"
            );
        }
        self.committed.retain(|id, _| listed.contains(id));
        self.leaving.clear();
        let new: Vec<_> = (listed.iter())
            .filter(|id| !self.committed.contains_key(*id))
            .collect();
        let perhaps = self.perhaps.take();
        assert!(
            new.len() <= usize::from(perhaps.is_some()),
            "snapshots from nowhere: {new:?}"
        );
        if let (Some(id), Some(digest)) = (new.first(), perhaps) {
            self.committed.insert((*id).clone(), digest);
            return true;
        }
        false
    }
}

/// A generator whose seed is printed, so that a run's choices can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

#[test]
fn the_power_is_cut_and_nothing_committed_is_lost() {
    let work = tempfile::tempdir().unwrap();
    let kit = Kit::make(work.path()).unwrap();
    let cuts = asked("COLCA_CUTS").map_or(SLICE, |n| usize::try_from(n).unwrap());
    let seed = asked("COLCA_CUTS_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(now.unwrap().subsec_nanos()) | 1
    });
    println!("COLCA_CUTS_SEED={seed}");
    let mut dice = Dice(seed);

    let disks = disks(work.path());
    let mut guest = Guest::boot(&kit, work.path(), &disks).unwrap();
    set_up(&mut guest, "has_journal").unwrap();
    // How long each work takes when nothing disturbs it.
    let mut lasts = BTreeMap::new();
    let mut book = Book {
        committed: BTreeMap::new(),
        perhaps: Some(digest(&mut guest, "/system/source").unwrap()),
        leaving: BTreeSet::new(),
    };
    let mut members: Vec<&str> = MEMBERS.to_vec();
    let mut free = FREE;
    for work in Work::ALL {
        if work == Work::Replace {
            replace(&mut guest, &mut members, &mut free, 0);
        }
        let start = Instant::now();
        guest.run(&work.command()).unwrap();
        lasts.insert(work, start.elapsed());
    }
    book.settle(&listed(&mut guest));
    println!("undisturbed: {lasts:?}");

    let mut hit: BTreeMap<Work, (u32, u32)> = BTreeMap::new();
    let mut restored = 0;
    for cut in 0..cuts {
        let what = Work::ALL[cut % Work::ALL.len()];
        match what {
            Work::Collect => forget(&mut guest, &mut book),
            Work::Replace => {
                let old = usize::try_from(dice.below(members.len() as u64)).unwrap();
                replace(&mut guest, &mut members, &mut free, old);
            }
            Work::Backup => book.perhaps = Some(change(&mut guest).unwrap()),
            Work::Replicate => {
                // There must be something new.
                book.perhaps = Some(change(&mut guest).unwrap());
                guest.run(BACK_UP).unwrap();
                book.settle(&listed(&mut guest));
            }
        }
        // The console says when it ended, without anybody having to ask.
        guest
            .run(&format!(
                "(setsid {} > /tmp/said 2>&1; echo {ENDED} > /dev/ttyS0) &",
                what.command()
            ))
            .unwrap();
        let most = u64::try_from(lasts[&what].as_millis()).unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(most.max(1))));
        let running = !guest.cut().contains(ENDED);
        let counts = hit.entry(what).or_default();
        counts.0 += 1;
        counts.1 += u32::from(running);

        guest = Guest::boot(&kit, work.path(), &disks).unwrap();
        guest.run(&mount_all()).unwrap();
        book.settle(&listed(&mut guest));
        if what == Work::Replace {
            guest.run(&what.command()).unwrap();
        }
        guest.run(&format!("{COLCA} verify --data")).unwrap();
        assert_eq!(pool_state(&mut guest), "ok");
        let all: Vec<_> = book.committed.iter().collect();
        let newest = all.len() - 1;
        let one = usize::try_from(dice.below(all.len() as u64)).unwrap();
        for n in BTreeSet::from([one, newest]) {
            let (id, digest) = all[n];
            restores(&mut guest, id, digest);
            restored += 1;
        }
        if what == Work::Replicate {
            guest.run(&what.command()).unwrap();
        }
    }
    for (what, (cuts, midst)) in hit {
        println!("{what:?}: {cuts} power cuts, {midst} of them while it was running");
    }
    println!("{restored} restores compared; no committed snapshot lost, every verification clean");
}

fn disks(folder: &Path) -> Vec<Disk> {
    let sizes = [1024, 512, 512, 512, 512, 1024];
    let one = |(n, mib): (usize, &u64)| Disk::blank(folder, &format!("disk{n}"), *mib).unwrap();
    sizes.iter().enumerate().map(one).collect()
}

fn pool_state(guest: &mut Guest) -> String {
    let text = guest.run(&format!("{COLCA} pool status --json")).unwrap();
    let status: Value = serde_json::from_str(&text).unwrap();
    status["state"].as_str().unwrap().to_owned()
}

/// Gives the place of a member to the free disk, empty; what was in its place is then free.
fn replace<'a>(guest: &mut Guest, members: &mut [&'a str], free: &mut &'a str, old: usize) {
    let (leaves, comes) = (members[old], *free);
    guest
        .run(&format!(
            "umount /disk/{comes} && mkfs.ext4 -q -F -E nodiscard /dev/vd{comes} && mount /dev/vd{comes} /disk/{comes} \
             && {COLCA} pool replace /disk/{leaves} /disk/{comes}"
        ))
        .unwrap();
    members[old] = comes;
    *free = leaves;
}

/// Forgets snapshots until few are left, as the book then says.
fn forget(guest: &mut Guest, book: &mut Book) {
    while book.committed.len() > KEPT {
        let id = book.committed.keys().next().unwrap().clone();
        guest.run(&format!("{COLCA} forget {id}")).unwrap();
        book.committed.remove(&id);
    }
    // At least something is waste even when few are there.
    if book.committed.len() > 2 {
        let id = book.committed.keys().next().unwrap().clone();
        guest.run(&format!("{COLCA} forget {id}")).unwrap();
        book.committed.remove(&id);
    }
}
