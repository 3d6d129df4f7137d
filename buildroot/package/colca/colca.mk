################################################################################
#
# colca
#
################################################################################

# The archive, with every crate vendored in it, is made by ../../source; its
# name carries the format tag that the cargo infrastructure expects.
COLCA_VERSION = 0.1.0
COLCA_SOURCE = colca-$(COLCA_VERSION)-cargo6.tar.gz
COLCA_SITE = $(BR2_EXTERNAL_COLCA_PATH)/dl
COLCA_SITE_METHOD = file
COLCA_LICENSE = Apache-2.0
COLCA_LICENSE_FILES = LICENSE

define COLCA_INSTALL_INIT_SYSTEMD
	$(@D)/systemd/install $(TARGET_DIR)
endef

define COLCA_USERS
	colca 450 colca 450 * /var/lib/colca - - Colca backup daemon
endef

$(eval $(cargo-package))
