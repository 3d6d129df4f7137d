//! The emulator's command line.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{agent, tpm};
use super::Machine;

const FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Hot-plug slots of every machine; more disks than this need more.
const SLOTS: usize = 8;

impl Machine {
    pub(super) fn arguments(&self, control: &Path, port: &Path) -> Vec<String> {
        let folder = self.folder.display();
        let mut line: Vec<String> = [
            // Emulated on purpose: the same everywhere. -no-reboot turns every reset into an end that is noticed.
            "-machine q35 -accel tcg,thread=multi -cpu max -smp 2 -nodefaults -display none -no-reboot",
            "-device virtio-rng-pci -device virtio-serial-pci",
            &format!("-device virtserialport,chardev=agent,name={}", agent::PORT),
            // A starved emulator is not a hung box.
            "-action watchdog=none",
            // Without romfile= a disk that does not boot costs minutes of network boot.
            "-device virtio-net-pci,netdev=net,romfile=",
            "-device virtio-blk-pci,drive=system,bootindex=0,serial=COLCA-SYSTEM",
        ]
        .join(" ")
        .split(' ')
        .map(str::to_owned)
        .collect();
        let mut add = |name: &str, value: String| line.extend([name.to_owned(), value]);
        add("-m", self.memory_mib.to_string());
        add(
            "-drive",
            format!("if=pflash,format=raw,readonly=on,file={FIRMWARE_CODE}"),
        );
        add(
            "-drive",
            format!("if=pflash,format=raw,file={folder}/firmware.fd"),
        );
        add(
            "-drive",
            format!("if=none,id=system,format=raw,discard=unmap,file={folder}/system.raw"),
        );
        add(
            "-netdev",
            format!("user,id=net,hostfwd=tcp:127.0.0.1:{}-:443", self.https_port),
        );
        add(
            "-qmp",
            format!("unix:{},server=on,wait=off", control.display()),
        );
        add(
            "-chardev",
            format!("socket,id=agent,path={},server=on,wait=off", port.display()),
        );
        add(
            "-serial",
            format!("file:{}", self.serial_path(self.boots).display()),
        );
        if self.wants_agent {
            for string in agent::smbios_strings() {
                // A comma would end the value; base64 and unit names have none.
                add("-smbios", format!("type=11,value={string}"));
            }
        }
        if self.tpm {
            let socket = tpm::socket(&self.folder);
            add(
                "-chardev",
                format!("socket,id=tpm,path={}", socket.display()),
            );
            add("-tpmdev", "emulator,id=tpm,chardev=tpm".to_owned());
            add("-device", "tpm-crb,tpmdev=tpm".to_owned());
        }
        for slot in 0..SLOTS {
            add(
                "-device",
                format!(
                    "pcie-root-port,id=slot{slot},chassis={},slot={}",
                    slot + 1,
                    slot + 1
                ),
            );
        }
        for (slot, (serial, disk)) in self
            .disks
            .iter()
            .enumerate()
            .filter(|(_, (_, disk))| disk.plugged)
        {
            add("-blockdev", blockdev(serial, &disk.file).to_string());
            add("-device", device(serial, slot).to_string());
        }
        line
    }
}

pub(super) fn blockdev(serial: &str, file: &Path) -> Value {
    json!({
        "driver": "raw", "node-name": format!("node-{serial}"),
        "file": {"driver": "file", "filename": file, "discard": "unmap"},
    })
}

pub(super) fn device(serial: &str, slot: usize) -> Value {
    json!({
        "driver": "virtio-blk-pci", "id": format!("disk-{serial}"), "bus": format!("slot{slot}"),
        "drive": format!("node-{serial}"), "serial": serial,
    })
}
