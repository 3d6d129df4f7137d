use super::*;

/// One of the documents in `tests/fixtures/smart`, read as smartctl leaves it:
/// with the exit code that it repeats inside.
fn fixture(name: &str) -> Smart {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/smart")
        .join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    let code = json["smartctl"]["exit_status"].as_i64().unwrap();
    parse(&bytes, i32::try_from(code).unwrap())
}

fn last(long: bool, outcome: TestOutcome, hours: u64) -> Option<TestResult> {
    Some(TestResult {
        long,
        outcome,
        hours: Some(hours),
    })
}

#[test]
fn an_ata_disk_with_reallocated_sectors() {
    let expected = Smart {
        passed: Some(true),
        temperature: Some(38),
        power_on_hours: Some(23_205),
        asleep: false,
        reallocated: Some(1432),
        pending: Some(16),
        uncorrectable: Some(8),
        media_errors: Some(3),
        wear: None,
        test: Some(SelfTest {
            remaining: None,
            last: last(true, TestOutcome::Failed, 23_190),
        }),
    };
    assert_eq!(fixture("ata-seagate-reallocated.json"), expected);
}

#[test]
fn a_flash_disk_that_tests_itself() {
    let smart = fixture("ata-samsung-ssd-testing.json");
    assert_eq!((smart.passed, smart.wear), (Some(true), Some(12)));
    assert_eq!((smart.reallocated, smart.pending), (Some(0), None));
    let test = smart.test.unwrap();
    assert_eq!(test.remaining, Some(90));
    assert_eq!(test.last, last(false, TestOutcome::Aborted, 300));
}

#[test]
fn an_attribute_at_its_limit_and_a_count_with_figures_above_it() {
    let smart = fixture("ata-wd-prefail.json");
    assert_eq!(smart.passed, Some(false));
    assert_eq!(smart.reallocated, Some(3991));
    assert_eq!(smart.test, None);
    // The exit code alone is enough.
    let quiet = br#"{"device":{"protocol":"ATA"},"smart_status":{"passed":true}}"#;
    for (code, passed) in [
        (0, true),
        (FAILING, false),
        (PREFAIL, false),
        (1 << 6, true),
    ] {
        assert_eq!(parse(quiet, code).passed, Some(passed), "{code}");
    }
}

#[test]
fn a_sas_disk_with_grown_defects() {
    let expected = Smart {
        passed: Some(true),
        temperature: Some(34),
        power_on_hours: Some(39_871),
        reallocated: Some(27),
        media_errors: Some(3),
        test: Some(SelfTest {
            remaining: None,
            last: last(true, TestOutcome::Passed, 39_500),
        }),
        ..Smart::default()
    };
    assert_eq!(fixture("sas-hgst-grown-defects.json"), expected);
}

#[test]
fn an_nvme_disk_with_media_errors_that_is_worn_out() {
    let expected = Smart {
        passed: Some(false),
        temperature: Some(44),
        power_on_hours: Some(28_123),
        media_errors: Some(12),
        wear: Some(103),
        test: Some(SelfTest {
            remaining: Some(65),
            last: last(false, TestOutcome::Failed, 28_000),
        }),
        ..Smart::default()
    };
    assert_eq!(fixture("nvme-intel-media-errors.json"), expected);
}

#[test]
fn a_disk_that_sleeps_is_known_to_sleep_and_nothing_else() {
    let asleep = Smart {
        asleep: true,
        ..Smart::default()
    };
    assert_eq!(fixture("standby.json"), asleep);
}

#[test]
fn a_disk_without_smart_and_nonsense_are_unknown() {
    assert_eq!(fixture("virtio.json"), Smart::default());
    for answer in [&b""[..], b"not json", b"[]", b"{\"smart_status\":3}"] {
        assert_eq!(parse(answer, 0), Smart::default());
    }
}

#[test]
fn a_test_is_refused_with_smartctls_words_where_there_is_no_smart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no disk");
    std::fs::write(&file, "x").unwrap();
    let e = test(file.to_str().unwrap(), true).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("long self-test"), "{e}");
}
