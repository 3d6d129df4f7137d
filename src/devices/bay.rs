//! Where a disk stands, and the light there, as the kernel shows it under `/sys`.
//!
//! Three places know a bay: an enclosure (SES) names its slots and has a light
//! for each; a PCIe slot has a number and often an attention light; and every
//! disk hangs on some port, which `by-path` names.

use std::fs;
use std::path::{Path, PathBuf};

/// The kernel's view: the real one, or one made up for a test.
pub(super) struct Kernel {
    pub sys: PathBuf,
    pub dev: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            dev: "/dev".into(),
        }
    }
}

/// A bay with a name and, where it has one, a light that a `1` turns on.
struct Bay {
    name: String,
    light: Option<PathBuf>,
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl Kernel {
    fn device(&self, disk: &str) -> PathBuf {
        self.sys.join("block").join(disk).join("device")
    }

    /// The slot of an enclosure.
    fn enclosure(&self, disk: &str) -> Option<Bay> {
        let slot = entries(&self.device(disk))
            .into_iter()
            .find(|p| name_of(p).starts_with("enclosure_device:"))?;
        let name = name_of(&slot);
        let mut name = name
            .trim_start_matches("enclosure_device:")
            .trim()
            .to_owned();
        // Some number their slots and give them no name.
        if name.is_empty() || name.bytes().all(|b| b.is_ascii_digit()) {
            let number = read(&slot.join("slot")).unwrap_or(name);
            name = format!("slot {number}");
        }
        let shelves = entries(&self.sys.join("class/enclosure"));
        if shelves.len() > 1
            && let Some(shelf) = slot.canonicalize().ok().as_deref().and_then(Path::parent)
        {
            name = format!("{name}, {}", name_of(shelf));
        }
        let light = slot.join("locate");
        Some(Bay {
            name,
            light: light.exists().then_some(light),
        })
    }

    /// The PCIe slot of an NVMe disk.
    fn pcie(&self, disk: &str) -> Option<Bay> {
        let card = self.device(disk).join("device").canonicalize().ok()?;
        let address = name_of(&card);
        let (address, _function) = address.rsplit_once('.')?;
        let slot = entries(&self.sys.join("bus/pci/slots"))
            .into_iter()
            .find(|slot| read(&slot.join("address")).is_some_and(|a| a == address))?;
        let light = slot.join("attention");
        Some(Bay {
            name: format!("PCIe {}", name_of(&slot)),
            light: light.exists().then_some(light),
        })
    }

    fn bay(&self, disk: &str) -> Option<Bay> {
        self.enclosure(disk).or_else(|| self.pcie(disk))
    }

    /// The bay of a disk (kernel name), else the port it hangs on.
    pub fn slot(&self, disk: &str) -> Option<String> {
        self.bay(disk).map(|bay| bay.name).or_else(|| {
            entries(&self.dev.join("disk/by-path"))
                .iter()
                .filter(|link| fs::read_link(link).is_ok_and(|to| name_of(&to) == disk))
                .map(|link| name_of(link))
                // One port may have several names; the shortest says enough.
                .min_by_key(String::len)
        })
    }

    /// The file that turns the light of a disk's bay on (`1`) and off (`0`).
    pub fn light(&self, disk: &str) -> Option<PathBuf> {
        self.bay(disk)?.light
    }

    /// Every such light, also of empty bays.
    pub fn lights(&self) -> Vec<PathBuf> {
        let of_shelves = entries(&self.sys.join("class/enclosure"));
        let of_shelves = of_shelves.iter().flat_map(|shelf| entries(shelf));
        let of_slots = entries(&self.sys.join("bus/pci/slots"));
        of_shelves
            .map(|bay| bay.join("locate"))
            .chain(of_slots.iter().map(|slot| slot.join("attention")))
            .filter(|light| light.exists())
            .collect()
    }

    /// Why the kernel has given the disk up, e.g. `offline`; `None` if it has not.
    pub fn given_up(&self, disk: &str) -> Option<String> {
        let state = read(&self.device(disk).join("state"))?;
        let well = [
            "running",
            "live",
            "created",
            "new",
            "connecting",
            "resetting",
        ];
        (!well.contains(&state.as_str())).then_some(state)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A made-up machine: `sda` in a named slot and `sdb` in a numbered one of an
    /// enclosure, `nvme0n1` in PCIe slot 4, `sdc` on a plain port.
    pub fn machine() -> (tempfile::TempDir, Kernel) {
        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        let put = |path: &Path, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let shelf = sys.join("class/enclosure/3:0:24:0");
        for (disk, slot, number) in [("sda", "Slot 05", "4"), ("sdb", "7", "7")] {
            let bay = shelf.join(slot);
            put(&bay.join("locate"), "0\n");
            put(&bay.join("slot"), number);
            put(&sys.join(format!("block/{disk}/device/state")), "running\n");
            let link = sys.join(format!("block/{disk}/device/enclosure_device:{slot}"));
            symlink(&bay, link).unwrap();
        }
        let card = sys.join("devices/pci0000:00/0000:01:00.0");
        fs::create_dir_all(&card).unwrap();
        put(&sys.join("block/nvme0n1/device/state"), "dead\n");
        symlink(&card, sys.join("block/nvme0n1/device/device")).unwrap();
        put(&sys.join("bus/pci/slots/4/address"), "0000:01:00\n");
        put(&sys.join("bus/pci/slots/4/attention"), "0\n");
        put(&sys.join("block/sdc/device/state"), "offline\n");
        let paths = dev.join("disk/by-path");
        fs::create_dir_all(&paths).unwrap();
        for name in ["pci-0000:00:1f.2-ata-3.0", "pci-0000:00:1f.2-ata-3"] {
            symlink("../../sdc", paths.join(name)).unwrap();
        }
        symlink("../../sdc1", paths.join("short")).unwrap();
        (dir, Kernel { sys, dev })
    }

    #[test]
    fn a_bay_is_named_by_its_enclosure_its_slot_or_its_port() {
        let (_dir, kernel) = machine();
        let slot = |disk: &str| kernel.slot(disk).unwrap_or_default();
        assert_eq!(slot("sda"), "Slot 05");
        assert_eq!(slot("sdb"), "slot 7");
        assert_eq!(slot("nvme0n1"), "PCIe 4");
        assert_eq!(slot("sdc"), "pci-0000:00:1f.2-ata-3");
        assert_eq!(kernel.slot("sdd"), None);
        // With two enclosures the same slot is there twice.
        fs::create_dir(kernel.sys.join("class/enclosure/4:0:1:0")).unwrap();
        assert_eq!(slot("sda"), "Slot 05, 3:0:24:0");
    }

    #[test]
    fn lights_are_those_of_the_bays() {
        let (_dir, kernel) = machine();
        assert!(kernel.light("sda").unwrap().ends_with("locate"));
        assert!(kernel.light("nvme0n1").unwrap().ends_with("4/attention"));
        assert_eq!(kernel.light("sdc"), None);
        assert_eq!(kernel.lights().len(), 3);
    }

    #[test]
    fn a_disk_that_the_kernel_has_given_up_is_told() {
        let (_dir, kernel) = machine();
        assert_eq!(kernel.given_up("sda"), None);
        assert_eq!(kernel.given_up("sdc").as_deref(), Some("offline"));
        assert_eq!(kernel.given_up("nvme0n1").as_deref(), Some("dead"));
        assert_eq!(kernel.given_up("sdz"), None);
    }
}
