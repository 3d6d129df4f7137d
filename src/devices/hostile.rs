//! What tools and the helper's socket say, made up by somebody else.

use std::path::Path;

use super::protocol::{Answer, LONGEST_REQUEST, Request, read_line};
use super::{scan, smart, uevent};

/// Answers of `lsblk`, `blkid` and `smartctl`, and what the kernel says.
pub(crate) fn tools(bytes: &[u8]) {
    let _ = smart::parse(bytes, 0);
    let _ = uevent::parse(bytes);
    let _ = scan::parse_probe(&String::from_utf8_lossy(bytes));
    if let Ok(nodes) = scan::parse(bytes, &["loop0".to_owned()]) {
        for node in &nodes {
            let _ = (node.identity(), node.mounts(), node.members().count());
            let _ = scan::contents(node, Path::new("/run/colca"), Some("x"));
        }
    }
}

/// Lines on the helper's socket, in both directions.
pub(crate) fn helper(bytes: &[u8]) {
    let mut from = bytes;
    while let Ok(Some(_)) = read_line::<Request>(&mut from, LONGEST_REQUEST) {}
    let mut from = bytes;
    while let Ok(Some(_)) = read_line::<Answer>(&mut from, LONGEST_REQUEST) {}
}

/// Well-formed answers and requests: name and text of each.
#[cfg(test)]
pub(crate) const SAMPLES: [(&str, &str); 8] = [
    (
        "lsblk",
        r#"{"blockdevices":[{"name":"sda","path":"/dev/sda","maj:min":"8:0","type":"disk","size":8001563222016,"ro":false,"model":"ST8000NM000A","serial":"ZA1","wwn":"0x5000","rota":true,"tran":"sata","pttype":"gpt","parttype":null,"partuuid":null,"fstype":null,"label":null,"mountpoints":[null],"children":[{"name":"sda1","path":"/dev/sda1","maj:min":"8:1","type":"part","size":8001562156544,"ro":false,"model":null,"serial":null,"wwn":null,"rota":true,"tran":null,"pttype":"gpt","parttype":"0fc63daf-8483-4772-8e79-3d69d8477de4","partuuid":"11111111-2222-3333-4444-555555555555","fstype":"xfs","label":"colca","mountpoints":["/run/colca/a"]}]}]}"#,
    ),
    (
        "blkid",
        "DEVNAME=/dev/vda1\nTYPE=xfs\nLABEL=colca\\ uno\nPART_ENTRY_TYPE=0fc63daf-8483-4772-8e79-3d69d8477de4\n",
    ),
    (
        "uevent",
        "add@/devices/pci0000:00/ata3/host2/block/sda/sda1\0ACTION=add\0SUBSYSTEM=block\0MAJOR=8\0MINOR=1\0DEVNAME=sda1\0DEVTYPE=partition\0DISKSEQ=11\0PARTN=1\0SEQNUM=813\0",
    ),
    (
        "smartctl",
        r#"{"smart_status":{"passed":true},"temperature":{"current":31},"power_on_time":{"hours":17412}}"#,
    ),
    (
        "list",
        "{\"request\":\"list\"}\n{\"request\":\"mount-members\"}\n",
    ),
    (
        "prepare",
        "{\"request\":\"prepare\",\"serial\":\"ZA1\",\"confirm\":null}\n",
    ),
    (
        "folders",
        "{\"folders\":[\"/run/colca/a\"]}\n{\"folder\":\"/run/colca/b\"}\n",
    ),
    (
        "error",
        "{\"error\":{\"kind\":\"refused\",\"message\":\"no\"}}\n",
    ),
];
