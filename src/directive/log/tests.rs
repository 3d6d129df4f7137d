use std::io::Cursor;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::directive::Role;

fn event(n: u64) -> Event {
    let seconds = i64::try_from(n).unwrap() * 7 * 3600;
    Event {
        time: crate::directive::after("2026-01-01T00:00:00Z".parse().unwrap(), seconds),
        who: (!n.is_multiple_of(3)).then(|| Actor {
            person: format!("ana{n}"),
            role: Role::ALL[n as usize % 7],
        }),
        act: "verification.close".into(),
        subject: "2026-03-01/interno «á»\n".into(),
        data: json!({"n": n, "text": "x".repeat(n as usize % 50)}),
    }
}

fn filled(records: u64) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, cut) = Log::open(folder.path(), None).unwrap();
    assert_eq!(cut, None);
    for n in 0..records {
        assert_eq!(log.append(event(n)).unwrap().seq, n);
    }
    let bytes = std::fs::read(folder.path().join(FILE)).unwrap();
    (folder, bytes)
}

fn put(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), bytes).unwrap();
    folder
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn checked(bytes: &[u8]) -> Result<Checked, Break> {
    check(Cursor::new(bytes), Checker::whole()).map_err(|e| match e {
        Error::Broken(at) => at,
        e => panic!("{e}"),
    })
}

#[test]
fn what_was_appended_comes_back_after_reopening() {
    let (folder, _) = filled(20);
    let (mut log, cut) = Log::open(folder.path(), None).unwrap();
    assert_eq!((cut, log.head().unwrap().seq), (None, 19));
    log.append(event(20)).unwrap();
    let mut seen = Vec::new();
    log.each(|record, _| {
        seen.push(record);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen.len(), 21);
    for (n, record) in (0..).zip(seen) {
        let expected = event(n);
        assert_eq!(record.seq, n);
        assert_eq!(
            (
                record.time,
                record.who,
                record.act,
                record.subject,
                record.data
            ),
            (
                expected.time,
                expected.who,
                expected.act,
                expected.subject,
                expected.data
            )
        );
    }
}

/// The form in `docs/directive.md`, byte by byte: whoever checks a line with
/// other tools gets this.
#[test]
fn the_form_is_as_documented() {
    let (_folder, bytes) = filled(2);
    let first = "{\"v\":1,\"seq\":0,\"time\":\"2026-01-01T00:00:00Z\",\"who\":null,\
        \"act\":\"verification.close\",\"subject\":\"2026-03-01/interno «á»\\n\",\
        \"data\":{\"n\":0,\"text\":\"\"},\"prev\":\""
        .to_owned()
        + &"0".repeat(64)
        + "\"";
    let hash = blake3::hash(first.as_bytes()).to_hex();
    let second = "{\"v\":1,\"seq\":1,\"time\":\"2026-01-01T07:00:00Z\",\
        \"who\":{\"person\":\"ana1\",\"role\":\"service-manager\"},\
        \"act\":\"verification.close\",\"subject\":\"2026-03-01/interno «á»\\n\",\
        \"data\":{\"n\":1,\"text\":\"x\"},\"prev\":\""
        .to_owned()
        + &hash
        + "\"";
    let end = blake3::hash(second.as_bytes()).to_hex();
    let whole = format!("{first},\"hash\":\"{hash}\"}}\n{second},\"hash\":\"{end}\"}}\n");
    assert_eq!(String::from_utf8(bytes).unwrap(), whole);
}

/// A power cut may leave any part of the last line. Only that part goes, the
/// caller learns of it, and the log goes on where it was.
#[test]
fn every_truncation_point_is_recognised() {
    let (_folder, bytes) = filled(4);
    let ends: Vec<usize> = (1..=bytes.len())
        .filter(|n| bytes[n - 1] == b'\n')
        .collect();
    for at in 0..=bytes.len() {
        let folder = put(&bytes[..at]);
        let (mut log, cut) = Log::open(folder.path(), None).unwrap();
        let whole = ends
            .iter()
            .copied()
            .filter(|end| *end <= at)
            .max()
            .unwrap_or(0);
        let rest = &bytes[whole..at];
        let expected = (!rest.is_empty()).then(|| Cut {
            bytes: rest.len() as u64,
            hash: Hash::of(rest),
        });
        assert_eq!(cut, expected, "cut at {at}");
        let records = ends.iter().filter(|end| **end <= at).count() as u64;
        assert_eq!(log.append(event(9)).unwrap().seq, records);
        drop(log);
        let (_, cut) = Log::open(folder.path(), None).unwrap();
        assert_eq!(cut, None);
    }
}

/// Blocks that never reached the disk read as zeros.
#[test]
fn zeros_in_the_last_line_are_a_power_cut_and_anywhere_else_damage() {
    let (_folder, bytes) = filled(3);
    let last = bytes.len() - lines(&bytes)[2].len();
    for at in 0..bytes.len() - 1 {
        let mut bytes = bytes.clone();
        bytes[at] = 0;
        match Log::open(put(&bytes).path(), None) {
            Ok((log, cut)) => {
                assert!(at >= last && cut.is_some(), "at {at}");
                assert_eq!(log.head().unwrap().seq, 1);
            }
            Err(Error::Broken(_)) => assert!(at < last, "at {at}"),
            Err(e) => panic!("{e}"),
        }
    }
    let mut bytes = bytes;
    bytes.extend([0; 4096]);
    let (_, cut) = Log::open(put(&bytes).path(), None).unwrap();
    assert_eq!(cut.unwrap().bytes, 4096);
}

/// The newline of a record that was promised turns into something else: the
/// record must not be taken for half written.
#[test]
fn a_whole_record_is_never_cut_off() {
    let (_folder, bytes) = filled(3);
    for flip in [1, 4, 0x80] {
        let mut bytes = bytes.clone();
        *bytes.last_mut().unwrap() ^= flip;
        let opened = Log::open(put(&bytes).path(), None);
        assert!(matches!(opened, Err(Error::Broken(Break { line: 3, .. }))));
    }
}

#[test]
fn each_changed_byte_is_found_at_its_line() {
    let (_folder, bytes) = filled(4);
    let mut line = 1;
    for at in 0..bytes.len() {
        for flip in [1u8, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            // A newline put in or taken away moves the lines after it.
            let found = checked(&changed).unwrap_err();
            assert_eq!(found.line, line, "byte {at} ^ {flip}: {found}");
        }
        line += u64::from(bytes[at] == b'\n');
    }
}

#[test]
fn records_taken_out_put_in_or_exchanged_are_named() {
    let (_folder, bytes) = filled(5);
    let whole = lines(&bytes);
    let reason = |lines: &[Vec<u8>]| checked(&lines.concat()).unwrap_err();
    let number = |line, expected, found| Break {
        line,
        reason: Reason::Number { expected, found },
    };

    let mut gone = whole.clone();
    gone.remove(2);
    assert_eq!(reason(&gone), number(3, 2, 3));

    let mut twice = whole.clone();
    twice.insert(2, whole[1].clone());
    assert_eq!(reason(&twice), number(3, 2, 1));

    let mut exchanged = whole.clone();
    exchanged.swap(1, 3);
    assert_eq!(reason(&exchanged), number(2, 1, 3));

    // Another chain's record with the right number.
    let folder = tempfile::tempdir().unwrap();
    let (mut other, _) = Log::open(folder.path(), None).unwrap();
    for n in 10..15 {
        other.append(event(n)).unwrap();
    }
    let others = lines(&std::fs::read(folder.path().join(FILE)).unwrap());
    let mut mixed = whole.clone();
    mixed[3] = others[3].clone();
    let previous = Break {
        line: 4,
        reason: Reason::Previous,
    };
    assert_eq!(reason(&mixed), previous);

    let mut unfinished = bytes.clone();
    unfinished.pop();
    assert_eq!(checked(&unfinished).unwrap_err().reason, Reason::Unfinished);
}

/// Whoever rewrites the chain from a record on makes a sound one: only a head
/// that left the box shows it.
#[test]
fn a_known_head_shows_a_rewritten_or_shortened_chain() {
    let (folder, bytes) = filled(5);
    let (log, _) = Log::open(folder.path(), None).unwrap();
    let head = log.head().unwrap();
    let days = log.days().unwrap();
    assert_eq!(days.values().last(), Some(&head));
    let (_other, rewritten) = filled(4);
    let known = |bytes: &[u8]| {
        let checker = Checker::whole().knowing([head]);
        match check(Cursor::new(bytes), checker).unwrap_err() {
            Error::Broken(at) => at.reason,
            e => panic!("{e}"),
        }
    };
    assert_eq!(known(&rewritten), Reason::Missing(4));
    let other = tempfile::tempdir().unwrap();
    let (mut chain, _) = Log::open(other.path(), None).unwrap();
    for n in 1..=5 {
        chain.append(event(n)).unwrap();
    }
    let forged = std::fs::read(other.path().join(FILE)).unwrap();
    assert_eq!(known(&forged), Reason::Head);
    let shorter = put(&rewritten);
    assert!(matches!(
        Log::open(shorter.path(), Some(head)),
        Err(Error::Broken(Break {
            reason: Reason::Missing(4),
            ..
        }))
    ));
    let checker = Checker::whole().knowing(days.values().copied());
    assert_eq!(check(Cursor::new(&bytes), checker).unwrap().records, 5);
}

#[test]
fn an_excerpt_is_checked_alone() {
    let (folder, _) = filled(9);
    let (log, _) = Log::open(folder.path(), None).unwrap();
    let mut part = Vec::new();
    log.export(3..7, &mut part).unwrap();
    let found = check(Cursor::new(&part), Checker::part()).unwrap();
    assert_eq!(
        (found.records, found.first, found.head.unwrap().seq),
        (4, 3, 6)
    );
    assert!(checked(&part).is_err());
}

#[test]
fn one_program_at_a_time_and_no_endless_lines() {
    let (folder, _) = filled(1);
    let (mut log, _) = Log::open(folder.path(), None).unwrap();
    assert!(matches!(Log::open(folder.path(), None), Err(Error::Busy)));
    let long = Event {
        subject: "x".repeat(LONGEST),
        ..event(1)
    };
    assert!(matches!(log.append(long), Err(Error::TooLong(_))));
    assert_eq!(log.append(event(1)).unwrap().seq, 1);
    let endless = vec![b'x'; LONGEST + 2];
    assert_eq!(checked(&endless).unwrap_err().reason, Reason::TooLong);
}

/// A record made ready belongs to one end of the chain.
#[test]
fn a_prepared_record_is_written_once_and_only_there() {
    let (folder, _) = filled(1);
    let (mut log, _) = Log::open(folder.path(), None).unwrap();
    let ready = log.prepare(event(1)).unwrap();
    let rival = log.prepare(event(2)).unwrap();
    log.write(&ready).unwrap();
    log.write(&ready).unwrap();
    assert!(matches!(log.write(&rival), Err(Error::NotNext)));
    let mut bent = log.prepare(event(2)).unwrap();
    bent.line[40] ^= 1;
    assert!(matches!(log.write(&bent), Err(Error::NotNext)));
    drop(log);
    let (log, cut) = Log::open(folder.path(), None).unwrap();
    assert_eq!((log.head(), cut), (Some(ready.head), None));
}

proptest! {
    #[test]
    fn any_lines_are_refused_or_a_chain(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6)
    ) {
        let bytes = pieces.concat();
        let found = checked(&bytes);
        prop_assert_eq!(found.is_ok(), bytes.is_empty());
    }

    #[test]
    fn any_event_comes_back(subject in ".*", act in ".*", person in ".*", n in any::<i64>()) {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Log::open(folder.path(), None).unwrap();
        let who = Some(Actor { person, role: Role::Operator });
        let event = Event { who, act, subject, data: json!([n]), ..event(1) };
        log.append(event.clone()).unwrap();
        let mut back = None;
        log.each(|record, _| { back = Some(record); Ok(()) }).unwrap();
        let back = back.unwrap();
        prop_assert_eq!(back.who, event.who);
        prop_assert_eq!(back.subject, event.subject);
        prop_assert_eq!(back.act, event.act);
        prop_assert_eq!(back.data, event.data);
    }
}
