//! SMART as `smartctl` tells it. Only ever informative: a disk without SMART,
//! asleep, or behind a controller that hides it, is simply unknown.

use std::time::Duration;

use super::{Smart, tool};

const LIMIT: Duration = Duration::from_secs(15);

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Answer {
    smart_status: Option<Status>,
    temperature: Option<Temperature>,
    power_on_time: Option<PowerOnTime>,
}

#[derive(serde::Deserialize)]
struct Status {
    passed: Option<bool>,
}

#[derive(serde::Deserialize)]
struct Temperature {
    current: Option<i64>,
}

#[derive(serde::Deserialize)]
struct PowerOnTime {
    hours: Option<u64>,
}

/// Asks a disk, without waking one that sleeps.
pub(super) fn read(path: &str) -> Smart {
    // The exit code is a set of bits, most of which report the disk's state.
    let arguments = ["--json", "-n", "standby", "-i", "-H", "-A", path];
    match tool::run("smartctl", &arguments, "", LIMIT) {
        Ok(output) => parse(&output.stdout),
        Err(e) => {
            tracing::warn!(disk = path, error = %e, "SMART could not be read");
            Smart::default()
        }
    }
}

/// Takes what is there; anything else is unknown.
pub(super) fn parse(json: &[u8]) -> Smart {
    let answer: Answer = serde_json::from_slice(json).unwrap_or_default();
    Smart {
        passed: answer.smart_status.and_then(|s| s.passed),
        temperature: answer.temperature.and_then(|t| t.current),
        power_on_hours: answer.power_on_time.and_then(|p| p.hours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_temperature_and_hours_are_taken() {
        let sata = br#"{"json_format_version":[1,0],"device":{"name":"/dev/sda","type":"sat","protocol":"ATA"},
            "model_name":"ST8000NM000A-2KE101","smart_status":{"passed":true},
            "ata_smart_attributes":{"revision":10,"table":[{"id":194,"name":"Temperature_Celsius","raw":{"value":31,"string":"31 (0 18 0 0 0)"}}]},
            "power_on_time":{"hours":17412},"power_cycle_count":29,"temperature":{"current":31}}"#;
        let known = |passed, temperature, hours| Smart {
            passed: Some(passed),
            temperature: Some(temperature),
            power_on_hours: Some(hours),
        };
        assert_eq!(parse(sata), known(true, 31, 17_412));
        let nvme =
            br#"{"device":{"protocol":"NVMe"},"smart_status":{"passed":false,"nvme":{"value":4}},
            "nvme_smart_health_information_log":{"critical_warning":4,"temperature":44},
            "temperature":{"current":44},"power_on_time":{"hours":3}}"#;
        assert_eq!(parse(nvme), known(false, 44, 3));
    }

    #[test]
    fn a_disk_that_sleeps_or_has_none_is_unknown() {
        let asleep = br#"{"smartctl":{"messages":[{"string":"Device is in STANDBY mode, exit(2)","severity":"information"}],"exit_status":2}}"#;
        let virtio = br#"{"smartctl":{"messages":[{"string":"/dev/vda: Unable to detect device type","severity":"error"}],"exit_status":1}}"#;
        for answer in [
            &asleep[..],
            virtio,
            b"",
            b"not json",
            b"{\"smart_status\":3}",
        ] {
            assert_eq!(parse(answer), Smart::default());
        }
    }
}
