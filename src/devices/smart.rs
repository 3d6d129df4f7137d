//! SMART as `smartctl` tells it. Only ever informative: a disk without SMART,
//! asleep, or behind a controller that hides it, is simply unknown.
//!
//! The three families of disks count different things. Here they become the
//! same few figures, each `None` where a disk does not count it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{SelfTest, Smart, TestOutcome, TestResult, tool};
use crate::engine::{Error, Kind, Result};

const LIMIT: Duration = Duration::from_secs(15);

/// Bits of the exit code that speak of the disk (smartctl(8)).
const NOT_UNDERSTOOD: i32 = 1;
const NOT_OPENED: i32 = 1 << 1;
const FAILING: i32 = 1 << 3;
/// An attribute that warns of failure is at its limit now.
const PREFAIL: i32 = 1 << 4;

/// Asks a disk, without waking one that sleeps.
pub(super) fn read(path: &str) -> Smart {
    let arguments = [
        "--json",
        "--nocheck=standby",
        "-i",
        "-H",
        "-A",
        "-c",
        "-l",
        "selftest",
        path,
    ];
    match tool::run("smartctl", &arguments, "", LIMIT) {
        Ok(output) => parse(&output.stdout, output.code),
        Err(e) => {
            tracing::warn!(disk = path, error = %e, "SMART could not be read");
            Smart::default()
        }
    }
}

/// Lets a disk begin to test itself, unless it sleeps.
pub(super) fn test(path: &str, long: bool) -> Result<()> {
    let which = if long { "long" } else { "short" };
    let arguments = ["--json", "--nocheck=standby", "-t", which, path];
    let output = tool::run("smartctl", &arguments, "", LIMIT)?;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = messages(&json).join("; ");
    if is_asleep(&json) {
        return Err(Error::new(
            Kind::Transient,
            format!("{path} sleeps and is left asleep; it tests itself when it is awake"),
        ));
    }
    // The other bits tell how the disk is, not whether the test began.
    if output.code & 0b111 != 0 {
        return Err(Error::new(
            Kind::Refused,
            format!("{path} does not begin a {which} self-test: {said}"),
        ));
    }
    Ok(())
}

fn messages(json: &Value) -> Vec<String> {
    let list = json["smartctl"]["messages"].as_array();
    let text = |m: &Value| m["string"].as_str().map(str::to_owned);
    list.into_iter().flatten().filter_map(text).collect()
}

/// `Device is in STANDBY mode, exit(2)`
fn is_asleep(json: &Value) -> bool {
    messages(json)
        .iter()
        .any(|m| m.starts_with("Device is in ") && m.contains(" mode"))
}

/// Takes what is there; anything else is unknown. `code` is smartctl's exit code.
pub(super) fn parse(json: &[u8], code: i32) -> Smart {
    let json: Value = serde_json::from_slice(json).unwrap_or_default();
    if is_asleep(&json) {
        return Smart {
            asleep: true,
            ..Smart::default()
        };
    }
    if code & (NOT_UNDERSTOOD | NOT_OPENED) != 0 {
        return Smart::default();
    }
    let number = |at: &str| json.pointer(at).and_then(Value::as_u64);
    let percent = |at: &str| number(at).map(|n| u8::try_from(n).unwrap_or(u8::MAX));
    let verdict = json["smart_status"]["passed"].as_bool();
    let attributes = Attributes::of(&json);
    let errors = "/scsi_error_counter_log";
    let uncorrected: Vec<u64> = ["read", "write", "verify"]
        .iter()
        .filter_map(|way| number(&format!("{errors}/{way}/total_uncorrected_errors")))
        .collect();
    let scsi_errors = (!uncorrected.is_empty()).then(|| {
        uncorrected
            .iter()
            .fold(0, |sum: u64, n| sum.saturating_add(*n))
    });
    Smart {
        passed: match code & (FAILING | PREFAIL) {
            0 => verdict,
            _ => Some(false),
        },
        temperature: json["temperature"]["current"].as_i64(),
        power_on_hours: number("/power_on_time/hours"),
        asleep: false,
        reallocated: attributes
            .raw(&[5])
            .or_else(|| number("/scsi_grown_defect_list")),
        pending: attributes
            .raw(&[197])
            .or_else(|| number("/scsi_pending_defects/count")),
        uncorrectable: attributes.raw(&[198]),
        media_errors: attributes
            .raw(&[187])
            .or(scsi_errors)
            .or_else(|| number("/nvme_smart_health_information_log/media_errors")),
        wear: percent("/endurance_used/current_percent")
            .or_else(|| percent("/nvme_smart_health_information_log/percentage_used"))
            .or_else(|| percent("/scsi_percentage_used_endurance_indicator"))
            .or_else(|| attributes.wear()),
        test: self_test(&json),
    }
}

/// The table of an ATA disk.
#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(default)]
    table: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    id: u64,
    #[serde(default)]
    name: String,
    /// The maker's scale: begins at 100 or more, and falls.
    value: Option<u64>,
    raw: Option<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    value: Option<u64>,
    string: Option<String>,
}

impl Attributes {
    fn of(json: &Value) -> Self {
        Self::deserialize(&json["ata_smart_attributes"]).unwrap_or_default()
    }

    /// The count of the first of these attributes that is there. Some makers
    /// keep further figures in the upper bits; the text has the count first.
    fn raw(&self, ids: &[u64]) -> Option<u64> {
        let found = self.table.iter().find(|a| ids.contains(&a.id))?;
        let raw = found.raw.as_ref()?;
        let text = raw.string.as_deref().unwrap_or_default();
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        text[..end]
            .parse()
            .ok()
            .or_else(|| raw.value.map(|v| v & 0xffff_ffff))
    }

    /// Percent of a flash disk's life that is used, from the makers' different names for it.
    fn wear(&self) -> Option<u8> {
        let names = [
            "Wear_Leveling_Count",
            "Media_Wearout_Indicator",
            "SSD_Life_Left",
            "Percent_Lifetime_Remain",
        ];
        let found = self
            .table
            .iter()
            .find(|a| names.contains(&a.name.as_str()))?;
        u8::try_from(100_u64.saturating_sub(found.value?)).ok()
    }
}

/// The running test and the newest that ended, of whichever family.
fn self_test(json: &Value) -> Option<SelfTest> {
    let ata = json.get("ata_smart_self_test_log").is_some() || json.get("ata_smart_data").is_some();
    let log = "/ata_smart_self_test_log/standard/table/0";
    let found = if ata {
        let state = &json["ata_smart_data"]["self_test"]["status"];
        SelfTest {
            // 15: in progress.
            remaining: (state["value"].as_u64().is_some_and(|v| v >> 4 == 15))
                .then(|| short(&state["remaining_percent"])),
            last: json.pointer(log).and_then(|entry| {
                Some(TestResult {
                    long: is_long(entry["type"]["string"].as_str()?),
                    outcome: match entry["status"]["value"].as_u64()? >> 4 {
                        0 => TestOutcome::Passed,
                        // Electrical, servo, read, handling damage, or a fatal error.
                        3..=8 => TestOutcome::Failed,
                        _ => TestOutcome::Aborted,
                    },
                    hours: entry["lifetime_hours"].as_u64(),
                })
            }),
        }
    } else if let Some(log) = json.get("nvme_self_test_log") {
        let running = log["current_self_test_operation"]["value"].as_u64();
        SelfTest {
            remaining: (running.is_some_and(|v| v != 0))
                .then(|| 100 - short(&log["current_self_test_completion_percent"]).min(100)),
            last: log.pointer("/table/0").and_then(|entry| {
                Some(TestResult {
                    long: is_long(entry["self_test_code"]["string"].as_str()?),
                    outcome: match entry["self_test_result"]["value"].as_u64()? {
                        0 => TestOutcome::Passed,
                        5..=7 => TestOutcome::Failed,
                        _ => TestOutcome::Aborted,
                    },
                    hours: entry["power_on_hours"].as_u64(),
                })
            }),
        }
    } else {
        let entry = json.get("scsi_self_test_0")?;
        let result = entry["result"]["value"].as_u64()?;
        let last = TestResult {
            long: is_long(entry["code"]["string"].as_str()?),
            outcome: match result {
                0 => TestOutcome::Passed,
                3..=7 => TestOutcome::Failed,
                _ => TestOutcome::Aborted,
            },
            hours: entry["power_on_time"]["hours"].as_u64(),
        };
        SelfTest {
            // How much is left is not said.
            remaining: (result == 15).then_some(100),
            last: (result != 15).then_some(last),
        }
    };
    Some(found)
}

/// `Extended offline`, `Extended`, `Background long`
fn is_long(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("extended") || name.contains("long")
}

fn short(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap_or(0)).unwrap_or(100)
}

#[cfg(test)]
mod tests;
