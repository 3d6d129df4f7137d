#!/bin/bash
# Joins kernel, initrd and root into the disk image, with the partitions that image/repart describes for the Debian one.
#   post-image.sh BINARIES_DIR
set -euo pipefail
binaries=$1
colca=$BR2_EXTERNAL_COLCA_PATH/..
version=$(sed -n 's/^COLCA_VERSION = //p' "$BR2_EXTERNAL_COLCA_PATH/package/colca/colca.mk")
label=colca_$version
size() { sed -n 's/^SizeMaxBytes=//p' "$colca/image/repart/$1.conf"; }

cd "$binaries"
roothash=$("$HOST_DIR/sbin/veritysetup" format rootfs.erofs rootfs.verity | sed -n 's/^Root hash:[[:space:]]*//p')
# The halves of the root hash are the ids by which the initrd finds the slot (Discoverable Partitions Specification).
uuid() { sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12})$/\1-\2-\3-\4-\5/' <<< "$1"; }

cmdline="roothash=$roothash $(sed 's/#.*//' "$colca/image/cmdline" | xargs)"
"$HOST_DIR/bin/python3" "$HOST_DIR/bin/ukify" build --linux=bzImage --initrd=rootfs.cpio.zst \
	--os-release="@$TARGET_DIR/usr/lib/os-release" --cmdline="$cmdline" \
	--stub="$TARGET_DIR/usr/lib/systemd/boot/efi/linuxx64.efi.stub" --output="$label.efi"

rm -rf esp && mkdir -p esp/EFI/{BOOT,Linux,systemd} esp/loader
cp "$label.efi" "esp/EFI/Linux/$label+3.efi"
cp "$TARGET_DIR/usr/lib/systemd/boot/efi/systemd-bootx64.efi" esp/EFI/BOOT/BOOTX64.EFI
cp esp/EFI/BOOT/BOOTX64.EFI esp/EFI/systemd/systemd-bootx64.efi
echo 'timeout 0' > esp/loader/loader.conf

sed -e "s/@LABEL@/$label/" -e "s/@ESP@/$(size 00-esp)/" \
	-e "s/@ROOT@/$(size 10-root-a)/" -e "s/@VERITY@/$(size 11-root-a-verity)/" \
	-e "s/@ROOT_UUID@/$(uuid "${roothash:0:32}")/" -e "s/@VERITY_UUID@/$(uuid "${roothash:32:32}")/" \
	"$BR2_EXTERNAL_COLCA_PATH/board/genimage.cfg.in" > genimage.cfg
support/scripts/genimage.sh -c "$binaries/genimage.cfg"
