//! Scrubs: everything is read in time, what is damaged is healed and told.

use std::fs;
use std::time::Duration;

use colca::engine::storage::Name;
use colca::engine::{Kind, Progress};
use colca::pool::{Damage, Pace, Pool, ScrubOptions, ScrubReport};

use super::lab::{Lab, put};

fn scrub(pool: &Pool, options: &ScrubOptions) -> ScrubReport {
    let progress = Progress::default();
    pool.scrub(options, &Pace::new(&progress, 0)).unwrap()
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_healed_told_and_remembered() {
    let mut lab = Lab::new("2+1", 3, 0);
    let objects: Vec<_> = (0..20).map(|i| put(lab.pool(), i, 100_000)).collect();
    let clean = scrub(lab.pool(), &ScrubOptions::default());
    assert_eq!((clean.objects, clean.damaged), (20, 0), "{clean:?}");
    // A bit in one, another shard not there.
    let bit = lab.shards(1)[3].clone();
    let mut others = lab.shards(2).into_iter();
    let away = others.find(|f| f.file_name() != bit.file_name()).unwrap();
    flip(&bit, 1_000);
    fs::remove_file(&away).unwrap();
    // Verified a moment ago, so nothing is due.
    let idle = scrub(lab.pool(), &ScrubOptions::default());
    assert_eq!((idle.objects, idle.damaged), (0, 0), "{idle:?}");
    let all = ScrubOptions {
        all: true,
        ..ScrubOptions::default()
    };
    let report = scrub(lab.pool(), &all);
    assert_eq!((report.damaged, report.healed), (2, 2), "{report:?}");
    assert!(bit.exists() && away.exists(), "written anew in place");
    let corrupt = report.findings.iter().find(|f| f.damage == Damage::Corrupt);
    let corrupt = corrupt.unwrap();
    assert_eq!(corrupt.member.as_deref(), Some("disk1"));
    let id = bit.file_name().unwrap().to_str().unwrap().split('.').next();
    assert!(corrupt.object.ends_with(id.unwrap()));
    assert!(Name::parse(&corrupt.object).is_some());
    lab.all_well(&objects);
    // Known after a restart as well.
    let kept = lab.pool().findings();
    assert_eq!(kept.len(), 2);
    lab.reopen();
    assert_eq!(lab.pool().findings(), kept);

    // Beyond repair: the name is told.
    let (name, _) = &objects[0];
    let id = name.to_string().rsplit('/').next().unwrap().to_owned();
    for disk in 0..2 {
        let of_it = |f: &std::path::PathBuf| f.to_str().unwrap().contains(&id);
        flip(&lab.shards(disk).into_iter().find(of_it).unwrap(), 2_000);
    }
    let report = scrub(lab.pool(), &all);
    assert_eq!(report.lost, [name.to_string()]);
    let lost = lab.pool().findings().into_iter();
    assert_eq!(lost.filter(|f| f.damage == Damage::Lost).count(), 1);
    lab.all_well(&objects[1..]);
}

#[test]
fn everything_is_verified_in_turn_in_small_parts() {
    let mut lab = Lab::new("1+1", 2, 0);
    for i in 0..40 {
        put(lab.pool(), i, 100_000);
    }
    assert_eq!(lab.pool().verified_since().unwrap(), 0);
    let options = ScrubOptions {
        limit: 1_500_000,
        ..ScrubOptions::default()
    };
    let mut seen = 0;
    let mut turns = 0;
    loop {
        let report = scrub(lab.pool(), &options);
        seen += report.objects;
        turns += 1;
        if !report.more {
            break;
        }
        // The box restarts between two turns.
        lab.reopen();
    }
    assert_eq!(seen, 40, "each once");
    assert!(turns >= 5, "{turns}");
    assert!(lab.pool().verified_since().unwrap() > 0);

    // A disk that was away was not verified.
    let mut lab = Lab::new("2+1", 4, 0);
    for i in 0..20 {
        put(lab.pool(), i, 100_000);
    }
    lab.pull(0);
    scrub(lab.pool(), &ScrubOptions::default());
    lab.plug(0);
    assert_eq!(lab.pool().verified_since().unwrap(), 0);
    // Losing what it remembers loses nothing.
    scrub(lab.pool(), &ScrubOptions::default());
    assert!(lab.pool().verified_since().unwrap() > 0);
    fs::write(lab.disk(2).join("scrub"), b"nonsense").unwrap();
    lab.reopen();
    assert_eq!(scrub(lab.pool(), &ScrubOptions::default()).objects, 20);
}

#[test]
fn a_scrub_keeps_its_rate_and_can_be_stopped() {
    let lab = Lab::new("1+1", 2, 0);
    for i in 0..20 {
        put(lab.pool(), i, 1 << 20);
    }
    let progress = Progress::default();
    let pace = Pace::new(&progress, 10 << 20);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| lab.pool().scrub(&ScrubOptions::default(), &pace));
        std::thread::sleep(Duration::from_millis(900));
        progress.cancel();
        assert_eq!(running.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
    });
    // Two copies of 1 MiB each at 10 MiB a second: five a second.
    let seen = progress.view();
    assert!((3..=7).contains(&seen.files), "{seen:?}");
    let rest = scrub(lab.pool(), &ScrubOptions::default());
    assert_eq!(rest.objects + seen.files, 20);
}
