//! Beyond the contract: a storage that loses power may, against its promise,
//! show torn objects under their names. What was committed before stays whole,
//! a verification names what is torn, and a backup stores it anew.

use colca::engine::{BackupOptions, CollectOptions, Progress};

use super::options;
use super::support::Box_;
use super::support::crash::{Case, State, all_well, copied, first, second};
use super::support::cut::Cut;
use super::support::fake::Fault;
use super::support::memory::MemTree;

#[test]
fn a_storage_that_tears_objects_costs_nothing_that_was_committed() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let before = start.backup(&MemTree::new(&one)).snapshot;
    let (mut points, mut named) = (0, 0u64);
    for n in 0.. {
        let mut struck = false;
        for (seed, state) in (0..).zip([State::Kept, State::Older, State::Lost]) {
            let b = start.twin();
            let older = copied(b.state.path());
            b.fake.fault_in(n, Fault::PowerCut);
            let ran =
                b.repository
                    .backup(&MemTree::new(&two), &options("test"), &Progress::default());
            struck = b.fake.struck();
            let case = Case {
                fault: Fault::PowerCut,
                cut: Cut::Careless,
                state,
            };
            let b = b.crashed(case, older.path(), n * 3 + seed);
            assert_eq!(b.restore(&before).facts(), one.facts());
            // What was reported was durable before the power went.
            if let Ok(report) = ran {
                assert_eq!(b.restore(&report.snapshot).facts(), two.facts());
            }
            // What is torn is named, or else there is nothing torn.
            let found = b.repository.verify(true, &Progress::default()).unwrap();
            named += u64::from(!found.errors.is_empty());
            // Nobody knows yet that a record is torn but the list of damaged ones.
            let again = BackupOptions {
                full: true,
                ..options("again")
            };
            let now = b
                .repository
                .backup(&MemTree::new(&two), &again, &Progress::default())
                .unwrap()
                .snapshot;
            for (snapshot, root) in [(&before, &one), (&now, &two)] {
                assert_eq!(b.restore(snapshot).facts(), root.facts());
            }
            if found.errors.is_empty() {
                b.repository
                    .collect(&CollectOptions::default(), &Progress::default())
                    .unwrap();
                all_well(&b, &[(before.clone(), &one), (now, &two)], &two);
            }
            points += u64::from(struck);
        }
        if !struck {
            break;
        }
    }
    println!("crash points enumerated: a careless storage {points}, torn objects named in {named}");
    assert!(points >= 15 && named > 0, "{points} {named}");
}
