use super::*;

const MOUNTS: &str = "/run/colca/disks";
const UUID: &str = "0f6b7e0c-4c4e-4f6a-8a55-5d3b1c2a9e11";

/// Five kinds of disk and four kinds of device that are none.
fn listing() -> String {
    let member = MEMBER_TYPE.to_uppercase();
    format!(
        r#"{{"blockdevices": [
 {{"name":"loop0","path":"/dev/loop0","maj:min":"7:0","type":"loop","size":419430400,"ro":false,"model":null,"serial":null,"wwn":null,"rota":false,"tran":null,"pttype":null,"parttype":null,"partuuid":null,"fstype":"xfs","label":null,"mountpoints":[null]}},
 {{"name":"zram0","path":"/dev/zram0","maj:min":"253:0","type":"disk","size":1024,"ro":false,"mountpoints":["[SWAP]"]}},
 {{"name":"sr0","path":"/dev/sr0","maj:min":"11:0","type":"rom","size":1073741312,"ro":false,"mountpoints":[null]}},
 {{"name":"sdz","path":"/dev/sdz","maj:min":"8:400","type":"disk","size":0,"model":"Card Reader","tran":"usb","mountpoints":[null]}},
 {{"name":"vda","path":"/dev/vda","maj:min":"254:0","type":"disk","size":"8589934592","ro":"0","model":null,"serial":"SYSTEM","wwn":null,"rota":"1","tran":"virtio","pttype":"gpt","parttype":null,"partuuid":null,"fstype":null,"label":null,"mountpoints":[null],
   "children":[
     {{"name":"vda1","path":"/dev/vda1","maj:min":"254:1","type":"part","size":536870912,"parttype":"c12a7328-f81f-11d2-ba4b-00a0c93ec93b","partuuid":"11111111-4c4e-4f6a-8a55-5d3b1c2a9e11","fstype":"vfat","label":"ESP","mountpoints":[null]}},
     {{"name":"vda2","path":"/dev/vda2","maj:min":"254:2","type":"part","size":1073741824,"parttype":"4f68bce3-e8cd-4db1-96e7-fbcaf984b709","partuuid":"22222222-4c4e-4f6a-8a55-5d3b1c2a9e11","fstype":"erofs","mountpoints":[null],
        "children":[{{"name":"root","path":"/dev/mapper/root","maj:min":"252:0","type":"crypt","size":1073741824,"fstype":"erofs","mountpoints":["/"]}}]}}]}},
 {{"name":"sda","path":"/dev/sda","maj:min":"8:0","type":"disk","size":8001563222016,"ro":false,"model":"ST8000NM000A-2KE101 ","serial":" WSD0A1B2","wwn":"0x5000c500d5e6f708","rota":true,"tran":"sas","pttype":"gpt","fstype":null,"mountpoints":[null],
   "children":[{{"name":"sda1","path":"/dev/sda1","maj:min":"8:1","type":"part","size":8001561821696,"parttype":"{member}","partuuid":"{UUID}","fstype":"xfs","label":"colca-member","mountpoints":["{MOUNTS}/{UUID}"]}}]}},
 {{"name":"sdb","path":"/dev/sdb","maj:min":"8:16","type":"disk","size":8001563222016,"model":"ST8000NM000A","serial":null,"wwn":"0x5000c500aaaaaaaa","rota":true,"tran":"sas","pttype":null,"fstype":"ext4","label":"datos","mountpoints":[null]}},
 {{"name":"sdc","path":"/dev/sdc","maj:min":"8:32","type":"disk","size":1000204886016,"model":"WD","serial":"WD-1","rota":true,"tran":"usb","pttype":"dos","mountpoints":[null],
   "children":[{{"name":"sdc1","path":"/dev/sdc1","type":"part","size":1,"parttype":"0x7","fstype":"ntfs","label":"Mi disco","mountpoints":["/media/x"]}}]}},
 {{"name":"nvme0n1","path":"/dev/nvme0n1","maj:min":"259:0","type":"disk","size":1000204886016,"model":"Samsung","serial":null,"wwn":null,"rota":false,"tran":"nvme","pttype":null,"fstype":null,"mountpoints":[null]}},
 {{"name":"evil","path":"/dev/../etc/passwd","maj:min":"9:9","type":"disk","size":5,"mountpoints":[null]}}
]}}"#
    )
}

fn found() -> Vec<Node> {
    parse(listing().as_bytes(), &[]).unwrap()
}

#[test]
fn only_whole_disks_are_kept() {
    let names: Vec<_> = found().iter().map(|n| n.name.clone()).collect();
    assert_eq!(names, ["vda", "sda", "sdb", "sdc", "nvme0n1"]);
    let with_loops = parse(listing().as_bytes(), &["loop0".into(), "loop9".into()]).unwrap();
    assert_eq!(with_loops[0].name, "loop0");
    assert_eq!(with_loops.len(), 6);
}

#[test]
fn values_come_as_text_or_numbers() {
    let disks = found();
    assert_eq!(disks[0].size, 8_589_934_592);
    assert!(disks[0].rotational && !disks[0].read_only);
    assert_eq!(disks[1].serial, "WSD0A1B2");
    assert_eq!(disks[1].model, "ST8000NM000A-2KE101");
    assert!(!disks[4].rotational);
}

#[test]
fn the_identity_is_serial_else_world_wide_name_else_name() {
    let identities: Vec<_> = found().iter().map(|n| n.identity().to_owned()).collect();
    let expected = [
        "SYSTEM",
        "WSD0A1B2",
        "0x5000c500aaaaaaaa",
        "WD-1",
        "nvme0n1",
    ];
    assert_eq!(identities, expected);
}

#[test]
fn contents_are_told_apart() {
    let disks = found();
    let of = |i: usize| contents(&disks[i], Path::new(MOUNTS), None);
    let other = |what: &str| Contents::Other { what: what.into() };
    assert_eq!(of(0), Contents::System);
    let member = Contents::Member {
        pool: None,
        mount: Some(format!("{MOUNTS}/{UUID}").into()),
    };
    assert_eq!(of(1), member);
    assert_eq!(of(2), other("ext4 \"datos\""));
    assert_eq!(
        of(3),
        other("partition table dos with 1 partition, ntfs \"Mi disco\", mounted at /media/x")
    );
    assert_eq!(of(4), Contents::Blank);
}

#[test]
fn the_disk_the_loader_started_from_is_the_system_disk_even_if_nothing_is_mounted() {
    let mut disk = found().remove(0);
    disk.children[1].children.clear();
    let boot = "11111111-4C4E-4F6A-8A55-5D3B1C2A9E11";
    let mounts = Path::new(MOUNTS);
    assert_eq!(contents(&disk, mounts, Some(boot)), Contents::System);
    // Without that it is a disk with partitions, never a blank one.
    assert!(matches!(
        contents(&disk, mounts, None),
        Contents::Other { .. }
    ));
}

#[test]
fn a_member_mounted_elsewhere_or_not_at_all_has_no_mount() {
    let mut disk = found().remove(1);
    for mountpoints in [vec![None], vec![], vec![Some("/mnt".to_owned())]] {
        disk.children[0].mountpoints = mountpoints;
        let member = Contents::Member {
            pool: None,
            mount: None,
        };
        assert_eq!(contents(&disk, Path::new(MOUNTS), None), member);
    }
    // A member's name must be a UUID, because it becomes a path.
    disk.children[0].partuuid = "../../etc".into();
    assert_eq!(disk.members().count(), 0);
}

#[test]
fn a_swap_or_a_state_partition_makes_it_the_system_disk() {
    let mut disk = found().remove(3);
    for mount in ["[SWAP]", "/", "/var/lib/colca", "/boot", "/efi"] {
        disk.children[0].mountpoints = vec![Some(mount.into())];
        assert_eq!(contents(&disk, Path::new(MOUNTS), None), Contents::System);
    }
}

#[test]
fn nonsense_from_lsblk_is_an_error() {
    for json in ["", "[]", "{\"blockdevices\":5}", "{\"blockdevices\":[5]}"] {
        assert_eq!(parse(json.as_bytes(), &[]).unwrap_err().kind(), Kind::Io);
    }
}

#[test]
fn what_blkid_exports_is_read() {
    let found =
        parse_probe("DEVNAME=/dev/sdb1\nTYPE=xfs\nLABEL=mi\\ disco\\\\1\nPART_ENTRY_TYPE=abc\n");
    assert_eq!(found["TYPE"], "xfs");
    assert_eq!(found["LABEL"], "mi disco\\1");
    let mut node = Node {
        fstype: "ext4".into(),
        ..Node::default()
    };
    node.take(&found);
    assert_eq!(
        (node.fstype.as_str(), node.parttype.as_str()),
        ("ext4", "abc")
    );
}
