#!/bin/sh
# Prepares the root file system: what runs is decided by this project's presets alone.
#   post-build.sh TARGET_DIR
set -eu
target=$1
rm -rf "$target/etc/systemd/system"
colca=$BR2_EXTERNAL_COLCA_PATH/..
"$colca/systemd/install" "$target"
# The same drop-in as in the Debian image: the initrd finds the partition definitions in the root it has verified.
cp -r "$colca/image/initrd/usr/lib/systemd" "$target/usr/lib/"
"$HOST_DIR/bin/systemctl" --root="$target" preset-all
: > "$target/etc/machine-id"
version=$(sed -n 's/^COLCA_VERSION = //p' "$BR2_EXTERNAL_COLCA_PATH/package/colca/colca.mk")
cat > "$target/usr/lib/os-release" << EOF
NAME=Colca
PRETTY_NAME="Colca $version (Buildroot)"
ID=colca
VERSION_ID=$version
IMAGE_ID=colca
IMAGE_VERSION=$version
EOF
